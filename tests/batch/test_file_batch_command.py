"""Tests imports of files, continued, interrupted and killed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

import pytest
from django.core.management.base import CommandError

from django_runbook.batch import FileBatchCommand
from django_runbook.models.checkpoints import Checkpoint, FailedRow
from tests.batch.engines import KILLED, STRIDE, VENDORS, Engine, dies_at
from tests.batch.file_commands import BOTH, ByRow, call, expected, keys, write
from tests.batchapp.models import Item


@BOTH
@pytest.mark.parametrize("size", [1, 3, 10, 100])
def test_each_row_of_a_file_is_done_once(sqlite: Engine, tmp_path: Path, command: type[ByRow], size: int) -> None:
    path = write(tmp_path / "rows.csv", 10)
    assert call(sqlite, command(), path, "--batch-size", size)[0] == "10 done\n"
    assert keys(sqlite) == expected(10)
    assert not Checkpoint.objects.using(sqlite.alias).exists()


@BOTH
def test_a_run_continues_after_the_last_one(engine: Engine, tmp_path: Path, command: type[ByRow]) -> None:
    path = write(tmp_path / "rows.csv", 10)
    call(engine, command(), path, "--batch-size", 3, "--limit", 5)
    assert Checkpoint.objects.using(engine.alias).get().done_count == 5
    assert call(engine, command(), path, "--batch-size", 3)[0] == "5 done (10 including earlier runs)\n"
    assert keys(engine) == expected(10)


def test_a_file_that_has_grown_is_continued(sqlite: Engine, tmp_path: Path) -> None:
    path = write(tmp_path / "rows.csv", 10)
    call(sqlite, ByRow(), path, "--limit", 5)
    write(path, 20)
    call(sqlite, ByRow(), path)
    assert keys(sqlite) == expected(20)


@pytest.mark.parametrize("line_break", ["\n", "\r\n"])
def test_a_last_line_that_had_no_line_break_is_the_same_with_one(
    sqlite: Engine, tmp_path: Path, line_break: str
) -> None:
    path = tmp_path / "rows.csv"
    text = write(path, 10).read_text().replace("\n", line_break)
    path.write_bytes(text.encode().removesuffix(line_break.encode()))
    stopped = ByRow()
    stopped.look = lambda key: stopped.request_stop("enough") if key == "key 9" else None
    call(sqlite, stopped, path)
    path.write_bytes((text + f"key 10,10{line_break}").encode())
    assert call(sqlite, ByRow(), path)[0] == "1 done (11 including earlier runs)\n"
    assert keys(sqlite) == expected(11)


def test_a_file_is_the_same_from_another_directory(
    sqlite: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "inner").mkdir()
    write(tmp_path / "rows.csv", 10)
    for place, name in [(tmp_path, "rows.csv"), (tmp_path / "inner", "../rows.csv"), (tmp_path, tmp_path / "rows.csv")]:
        monkeypatch.chdir(place)
        call(sqlite, ByRow(), name, "--limit", 3)
    assert keys(sqlite) == expected(9)


def test_a_changed_link_to_the_same_content_is_continued(sqlite: Engine, tmp_path: Path) -> None:
    link = tmp_path / "current"
    for number, count in enumerate([10, 12, 3]):
        (tmp_path / f"release {number}").mkdir()
        write(tmp_path / f"release {number}" / "rows.csv", count)
        link.unlink(missing_ok=True)
        link.symlink_to(tmp_path / f"release {number}")
        with pytest.raises(CommandError, match="has changed") if count == 3 else contextlib.nullcontext():
            call(sqlite, ByRow(), link / "rows.csv", "--limit", 4)
    assert keys(sqlite) == expected(8)


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_text(path.read_text().replace("key 2", "key x")),
        lambda path: write(path, 4),
        lambda path: write(path, 10, start=1),
    ],
    ids=["changed", "shortened", "cut"],
)
def test_a_file_that_changed_before_the_checkpoint_is_refused(
    sqlite: Engine, tmp_path: Path, damage: Callable[[Path], object]
) -> None:
    path = write(tmp_path / "rows.csv", 10)
    call(sqlite, ByRow(), path, "--limit", 5)
    damage(path)
    with pytest.raises(CommandError, match="has changed: its first 6 lines"):
        call(sqlite, ByRow(), path)
    assert keys(sqlite) == expected(5)
    call(sqlite, ByRow(), path, "--restart")


@BOTH
def test_a_bad_line_ends_the_run_and_its_batch_is_rolled_back(
    sqlite: Engine, tmp_path: Path, command: type[ByRow]
) -> None:
    path = write(tmp_path / "rows.csv", 10, bad=[5])
    with pytest.raises(CommandError, match=r"rows\.csv:7: invalid literal"):
        call(sqlite, command(), path, "--batch-size", 4)
    assert keys(sqlite) == expected(4)
    write(path, 10)
    call(sqlite, command(), path, "--batch-size", 4)
    assert keys(sqlite) == expected(10)


@BOTH
def test_a_row_that_fails_in_the_work_is_recorded(sqlite: Engine, tmp_path: Path, command: type[ByRow]) -> None:
    path = write(tmp_path / "rows.csv", 10, bad=[1])

    def look(key: str) -> None:
        if key == "key 6":
            raise RuntimeError("no")

    with pytest.raises(CommandError, match="2 failed"):
        call(sqlite, command(look), path, "--batch-size", 10, "--max-errors", 2)
    assert keys(sqlite) == expected(10, without=[1, 6])
    assert [row.name for row in FailedRow.objects.using(sqlite.alias).order_by("name")] == [f"{path}:3", f"{path}:8"]


def test_a_dry_run_reads_the_file_and_leaves_nothing(sqlite: Engine, tmp_path: Path) -> None:
    path = write(tmp_path / "rows.csv", 10, bad=[5])
    with pytest.raises(CommandError, match="1 would fail"):
        call(sqlite, ByRow(), path, "--dry-run", "--max-errors", 1)
    assert keys(sqlite) == []
    assert not FailedRow.objects.using(sqlite.alias).exists()


def test_a_stop_keeps_complete_batches(sqlite: Engine, tmp_path: Path) -> None:
    path = write(tmp_path / "rows.csv", 10, bad=[1, 5])
    command = ByRow()
    command.look = lambda key: command.request_stop("enough") if key == "key 3" else None
    call(sqlite, command, path, "--batch-size", 10, "--max-errors", 2)
    assert keys(sqlite) == expected(4, without=[1])
    assert FailedRow.objects.using(sqlite.alias).get().name == f"{path}:3"
    with pytest.raises(CommandError, match="2 failed"):
        call(sqlite, ByRow(), path, "--max-errors", 2)
    assert keys(sqlite) == expected(10, without=[1, 5])


@pytest.mark.slow
def test_a_file_whose_reader_is_killed_anywhere_is_read_once(engine: Engine, tmp_path: Path) -> None:
    path = write(tmp_path / "rows.csv", 4, bad=[2])
    tokens = (path, "--batch-size", 2, "--max-errors", 1)
    # The full run kills at each point; else each database takes every third one, and they begin at different ones.
    number, code = VENDORS.index(engine.vendor) + 1 - STRIDE, KILLED
    while code == KILLED:
        number += STRIDE
        engine.clear()
        with engine.forked(dies_at(number, engine, engine.work(ByRow(), *tokens))) as child:
            code = child.wait()
        if code == KILLED and not engine.is_finished():
            assert engine.are_counts_right(), f"at point {number}"
            assert engine.run(ByRow(), *tokens) == 1
        assert keys(engine) == expected(4, without=[2]), f"at point {number}"
        assert FailedRow.objects.using(engine.alias).get().name == f"{path}:4"
    assert code == 1


def test_a_command_without_work_is_reported(sqlite: Engine, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="neither"):
        call(sqlite, FileBatchCommand(), write(tmp_path / "rows.csv", 1))
    assert not Item.objects.using(sqlite.alias).exists()
