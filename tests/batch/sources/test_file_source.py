"""Tests retries of failed lines, and that files are closed."""

from __future__ import annotations

import contextlib
import gzip
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import pytest
from django.core.management.base import CommandError

from django_runbook.batch.sources import records
from django_runbook.models.checkpoints import FailedRow
from tests.batch.engines import Engine
from tests.batch.file_commands import BOTH, ByBatch, ByRow, call, change, expected, keys, write


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[IO[bytes]]:
    """The files that a command opens; they must be closed even while the command or its error is still referenced."""
    files: list[IO[bytes]] = []
    really_open = records._opened

    def opening(path: Path) -> IO[bytes]:
        files.append(really_open(path))
        return files[-1]

    monkeypatch.setattr(records, "_opened", opening)
    return files


@BOTH
def test_bad_lines_are_recorded_by_number_and_done_when_they_are_fixed(
    engine: Engine, tmp_path: Path, command: type[ByRow]
) -> None:
    path = write(tmp_path / "rows.csv", 10, bad=[3, 7])
    with pytest.raises(CommandError, match="2 failed"):
        call(engine, command(), path, "--batch-size", 4, "--max-errors", 2)
    assert keys(engine) == expected(10, without=[3, 7])
    rows = FailedRow.objects.using(engine.alias).order_by("pk")
    assert [row.name for row in rows] == [f"{path}:5", f"{path}:9"]
    assert rows[0].error == "invalid literal for int() with base 10: 'x'"
    write(path, 10, bad=[7])
    with pytest.raises(CommandError, match="1 failed"):
        call(engine, command(), path, "--retry-failed")
    assert keys(engine) == expected(10, without=[7])
    write(path, 10)
    assert call(engine, command(), path, "--retry-failed")[0] == "1 done\n"
    assert keys(engine) == expected(10)
    assert not rows.all().exists()


@pytest.mark.parametrize("name", ["rows.csv", "rows.csv.gz"])
def test_a_stop_closes_the_file(sqlite: Engine, tmp_path: Path, opened: list[IO[bytes]], name: str) -> None:
    path = write(tmp_path / "rows.csv", 10)
    if name == "rows.csv.gz":
        data, path = path.read_bytes(), tmp_path / name
        path.write_bytes(gzip.compress(data))
    command = ByRow()
    command.look = lambda key: command.request_stop("enough") if key == "key 3" else None
    call(sqlite, command, path, "--batch-size", 2)
    # The next run reads from the start.
    command.look = lambda key: command.request_stop("enough") if key == "key 5" else None
    call(sqlite, command, path, "--batch-size", 2)
    assert [file.closed for file in opened] == [True, True]


def test_an_error_closes_the_file(sqlite: Engine, tmp_path: Path, opened: list[IO[bytes]]) -> None:
    path = write(tmp_path / "rows.csv", 10, bad=[3])
    with pytest.raises(CommandError, match=r"rows\.csv:5") as first:
        call(sqlite, ByRow(), path, "--batch-size", 2)
    path.write_text(path.read_text().replace("key 0", "key zero"))
    with pytest.raises(CommandError, match="has changed: its first") as second:
        call(sqlite, ByRow(), path)
    assert [file.closed for file in opened] == [True, True], (first, second)


def test_an_interrupted_retry_closes_the_file(sqlite: Engine, tmp_path: Path, opened: list[IO[bytes]]) -> None:
    def refuse(key: str) -> None:
        raise CommandError("enough")

    path = write(tmp_path / "rows.csv", 10, bad=[3])
    with pytest.raises(CommandError, match="1 failed"):
        call(sqlite, ByRow(), path, "--max-errors", 1)
    write(path, 10)
    with pytest.raises(CommandError, match="enough") as caught:
        call(sqlite, ByRow(refuse), path, "--retry-failed")
    assert {file.closed for file in opened} == {True}, caught


@pytest.mark.parametrize(
    ("bad", "changes"),
    [
        pytest.param([3], {"delete": [5]}, id="deleted"),
        pytest.param([3], {"insert": [5], "fix": [5]}, id="inserted"),
        pytest.param([3], {"insert": [2]}, id="inserted-far-before"),
        pytest.param([3, 4], {"delete": [5, 6]}, id="two-deleted"),
        pytest.param([3, 4], {"delete": [5], "fix": [6]}, id="deleted-and-fixed"),
        pytest.param(range(3, 17), {"delete": range(5, 19)}, id="many-deleted"),
        pytest.param([18], {"delete": [20]}, id="last-but-one-deleted"),
        pytest.param([19], {"insert": [2], "fix": [21]}, id="inserted-before-the-last"),
    ],
)
def test_a_line_that_may_not_be_the_failed_one_is_not_done(
    sqlite: Engine, tmp_path: Path, bad: Sequence[int], changes: dict[str, Sequence[int]]
) -> None:
    path = write(tmp_path / "rows.csv", 20, bad=bad)
    with pytest.raises(CommandError, match="failed"):
        call(sqlite, ByRow(), path, "--max-errors", 20, "--batch-size", 7)
    before = path.read_text()
    change(path, **changes)
    with pytest.raises(CommandError, match="failed"):
        call(sqlite, ByRow(), path, "--retry-failed")
    assert keys(sqlite) == expected(20, without=bad)
    failed = FailedRow.objects.using(sqlite.alias)
    assert failed.count() == len(bad)
    assert "fix bad lines in place" in failed.first().error  # type: ignore[union-attr]  # there is one
    path.write_text(before)
    change(path, fix=[number + 2 for number in bad])
    call(sqlite, ByRow(), path, "--retry-failed")
    assert keys(sqlite) == expected(20)


@pytest.mark.parametrize(
    "size", [pytest.param(1, marks=pytest.mark.slow), 4, pytest.param(100, marks=pytest.mark.slow)]
)
@pytest.mark.parametrize(
    ("bad", "steps"),
    [
        pytest.param([18, 19], [[20], [21]], id="the-last"),
        pytest.param([3, 4, 5], [[5], [6], [7]], id="one-after-another"),
        pytest.param([3, 4, 5], [[7], [6], [5]], id="backwards"),
        pytest.param(range(3, 17), [range(5, 19)], id="many"),
        pytest.param([*range(1, 14), *range(15, 20)], [range(3, 22)], id="most"),
    ],
)
def test_adjacent_bad_lines_are_done_as_they_are_fixed(
    sqlite: Engine, tmp_path: Path, bad: Sequence[int], steps: Sequence[Sequence[int]], size: int
) -> None:
    path = write(tmp_path / "rows.csv", 20, bad=bad)
    with pytest.raises(CommandError, match="failed"):
        call(sqlite, ByBatch(), path, "--max-errors", 20, "--batch-size", size)
    for number, step in enumerate(steps, start=1):
        change(path, fix=step)
        with pytest.raises(CommandError) if number < len(steps) else contextlib.nullcontext():
            call(sqlite, ByBatch(), path, "--retry-failed")
    assert keys(sqlite) == expected(20)


def test_fixed_bad_lines_can_be_done_a_few_at_a_time(sqlite: Engine, tmp_path: Path) -> None:
    path = write(tmp_path / "rows.csv", 20, bad=[3, 4, 5])
    with pytest.raises(CommandError, match="3 failed"):
        call(sqlite, ByRow(), path, "--max-errors", 3)
    write(path, 20)
    reported = [call(sqlite, ByRow(), path, "--retry-failed", "--limit", 1)[0] for _ in range(3)]
    left = [f"1 done; {count} not retried; --retry-failed continues with them\n" for count in (2, 1)]
    assert reported == [*left, "1 done\n"]
    assert keys(sqlite) == expected(20)


@pytest.mark.parametrize("count", [7, 15])
def test_a_block_of_bad_lines_may_be_fixed_in_any_order_and_done_a_few_at_a_time(
    sqlite: Engine, tmp_path: Path, count: int
) -> None:
    path = write(tmp_path / "rows.csv", 30, bad=range(3, 3 + count))
    with pytest.raises(CommandError, match=f"{count} failed"):
        call(sqlite, ByRow(), path, "--max-errors", count)
    # All lines but the first are fixed and done; then the first one is.
    write(path, 30, bad=[3])
    with pytest.raises(CommandError, match="1 failed"):
        call(sqlite, ByRow(), path, "--retry-failed")
    assert keys(sqlite) == expected(30, without=[3])
    write(path, 30)
    call(sqlite, ByRow(), path, "--retry-failed")
    assert keys(sqlite) == expected(30)


def test_lines_beyond_the_limit_are_identified_after_later_ones_are_done(sqlite: Engine, tmp_path: Path) -> None:
    path = write(tmp_path / "rows.csv", 40, bad=range(3, 23))
    for tokens in (["--max-errors", 20], ["--retry-failed", "--limit", 2]):
        with pytest.raises(CommandError, match="failed"):
            call(sqlite, ByRow(), path, *tokens)
    write(path, 40, bad=[3, 4])
    call(sqlite, ByRow(), path, "--retry-failed", "--limit", 18)
    write(path, 40)
    call(sqlite, ByRow(), path, "--retry-failed")
    assert keys(sqlite) == expected(40)


def test_a_block_of_fixed_lines_is_done_two_at_a_time(sqlite: Engine, tmp_path: Path) -> None:
    path = write(tmp_path / "rows.csv", 30, bad=range(3, 23))
    with pytest.raises(CommandError, match="20 failed"):
        call(sqlite, ByRow(), path, "--max-errors", 20)
    write(path, 30)
    for _ in range(10):
        call(sqlite, ByRow(), path, "--retry-failed", "--limit", 2)
    assert keys(sqlite) == expected(30)


def test_a_line_among_similar_ones_is_done_only_if_it_is_identified(sqlite: Engine, tmp_path: Path) -> None:
    def refuse(key: str) -> None:
        raise ValueError("not now")

    path = tmp_path / "rows.csv"
    path.write_text("key,number\n" + "same,1\n" * 30 + "same,x\n" + "same,1\n" * 2)
    with pytest.raises(CommandError, match="33 failed"):
        call(sqlite, ByRow(refuse), path, "--max-errors", 33)
    with pytest.raises(CommandError, match="1 failed"):
        call(sqlite, ByRow(), path, "--retry-failed")
    assert keys(sqlite) == ["same"] * 32
    path.write_text("key,number\n" + "same,1\n" * 32)
    with pytest.raises(CommandError, match="1 failed"):
        call(sqlite, ByRow(), path, "--retry-failed")
    assert keys(sqlite) == ["same"] * 32
    path.write_text("key,number\n" + "same,1\n" * 33)
    call(sqlite, ByRow(), path, "--retry-failed")
    assert keys(sqlite) == ["same"] * 33


def test_a_fixed_line_is_done_even_if_the_file_has_grown(sqlite: Engine, tmp_path: Path) -> None:
    path = write(tmp_path / "rows.csv", 5, bad=[3])
    with pytest.raises(CommandError, match="1 failed"):
        call(sqlite, ByRow(), path, "--max-errors", 1)
    write(path, 7)
    call(sqlite, ByRow(), path, "--retry-failed")
    assert keys(sqlite) == expected(5)


def test_a_fixed_row_of_several_lines_is_done(sqlite: Engine, tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text('key,number\n"a\nb",1\n"c\nd",x\n"e\nf",x\n"g\nh",4\n')
    with pytest.raises(CommandError, match="2 failed"):
        call(sqlite, ByRow(), path, "--max-errors", 2)
    path.write_text(path.read_text().replace("x", "2"))
    call(sqlite, ByRow(), path, "--retry-failed")
    assert keys(sqlite) == ["a\nb", "c\nd", "e\nf", "g\nh"]
