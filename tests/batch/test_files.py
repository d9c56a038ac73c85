"""Files in batches: positions, bad lines, files that change, and being killed in between."""

from __future__ import annotations

import contextlib
import csv
import gzip
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any

import pytest
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from django_runbook.batch import FileBatchCommand
from django_runbook.batch.sources import records
from django_runbook.models import Checkpoint, FailedRow
from tests.batch.engines import KILLED, Engine
from tests.batch.test_kill import dies_at
from tests.batchapp.models import Item, Ledger


class ByRow(FileBatchCommand):
    """Writes the key of each row into the ledger."""

    def __init__(self, look: Callable[[Any], object] = lambda row: None) -> None:
        super().__init__()
        self.look = look

    def get_lock_name(self, **options: Any) -> str | None:
        return None

    def parse_row(self, row: Any) -> str:
        int(row["number"])
        return str(row["key"])

    def process_item(self, key: str) -> None:
        self.look(key)
        Ledger.objects.using(self.database).create(item_key=key)


class ByBatch(ByRow):
    def process_batch(self, keys: Sequence[str]) -> int | None:
        for key in keys:
            self.look(key)
        Ledger.objects.using(self.database).bulk_create([Ledger(item_key=key) for key in keys])
        return None


class JSONLines(ByRow):
    file_format = "jsonl"


BOTH = pytest.mark.parametrize("command", [ByRow, ByBatch])


def call(engine: Engine, command: BaseCommand, *tokens: object) -> tuple[str, str]:
    out, err = io.StringIO(), io.StringIO()
    tokens = (*map(str, tokens), "--database", engine.alias, "--verbosity", "0")
    call_command(command, *tokens, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def write(path: Path, count: int, *, bad: Sequence[int] = (), start: int = 0) -> Path:
    """So many rows; the one with number n is in line n + 2, as the header is in the first."""
    rows = [f"key {number},{'x' if number in bad else number}\n" for number in range(start, count)]
    path.write_text("key,number\n" + "".join(rows))
    return path


def keys(engine: Engine) -> list[str]:
    return sorted(Ledger.objects.using(engine.alias).values_list("item_key", flat=True))


def expected(count: int, *, without: Sequence[int] = ()) -> list[str]:
    return sorted(f"key {number}" for number in range(count) if number not in without)


@BOTH
@pytest.mark.parametrize("size", [1, 3, 10, 100])
def test_each_row_of_a_file_is_done_once(sqlite: Engine, tmp_path: Path, command: type[ByRow], size: int) -> None:
    path = write(tmp_path / "rows.csv", 10)
    assert call(sqlite, command(), path, "--batch-size", size)[0] == "10 done\n"
    assert keys(sqlite) == expected(10)
    assert not Checkpoint.objects.using(sqlite.alias).exists()


def test_gzip_json_lines_and_a_byte_order_mark_are_read(sqlite: Engine, tmp_path: Path) -> None:
    packed = tmp_path / "rows.csv.gz"
    packed.write_bytes(gzip.compress(b"\xef\xbb\xbf" + write(tmp_path / "rows.csv", 3).read_bytes()))
    call(sqlite, ByRow(), packed)
    lines = tmp_path / "rows.jsonl"
    lines.write_text("".join(json.dumps({"key": f"key {number}", "number": number}) + "\n\n" for number in range(3, 5)))
    call(sqlite, JSONLines(), lines)
    assert keys(sqlite) == expected(5)


def test_a_row_of_several_lines_is_one(sqlite: Engine, tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([["key", "number"], ["a\nb", 1], ["c", 2], ["d\n\ne", "x"]])
    with pytest.raises(CommandError, match="1 failed"):
        call(sqlite, ByRow(), path, "--batch-size", 1, "--max-errors", 1)
    assert keys(sqlite) == ["a\nb", "c"]
    assert FailedRow.objects.using(sqlite.alias).get().name == f"{path}:7"


@BOTH
def test_a_run_goes_on_where_the_last_one_was(engine: Engine, tmp_path: Path, command: type[ByRow]) -> None:
    path = write(tmp_path / "rows.csv", 10)
    call(engine, command(), path, "--batch-size", 3, "--limit", 5)
    assert Checkpoint.objects.using(engine.alias).get().done_count == 5
    assert call(engine, command(), path, "--batch-size", 3)[0] == "5 done (10 including earlier runs)\n"
    assert keys(engine) == expected(10)


def test_a_file_that_has_grown_is_gone_on_with(sqlite: Engine, tmp_path: Path) -> None:
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


def test_a_file_is_the_same_from_another_folder(
    sqlite: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "inner").mkdir()
    write(tmp_path / "rows.csv", 10)
    for place, name in [(tmp_path, "rows.csv"), (tmp_path / "inner", "../rows.csv"), (tmp_path, tmp_path / "rows.csv")]:
        monkeypatch.chdir(place)
        call(sqlite, ByRow(), name, "--limit", 3)
    assert keys(sqlite) == expected(9)


def test_a_file_behind_a_link_that_moves_is_gone_on_with_where_it_says_the_same(sqlite: Engine, tmp_path: Path) -> None:
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
def test_a_file_that_has_changed_where_it_was_read_is_refused(
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
def test_bad_lines_are_recorded_by_their_number_and_done_when_they_are_mended(
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


@BOTH
def test_a_bad_line_ends_the_run_and_nothing_of_its_batch_is_kept(
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
def test_a_row_that_the_work_refuses_is_recorded_as_well(sqlite: Engine, tmp_path: Path, command: type[ByRow]) -> None:
    path = write(tmp_path / "rows.csv", 10, bad=[1])

    def look(key: str) -> None:
        if key == "key 6":
            raise RuntimeError("no")

    with pytest.raises(CommandError, match="2 failed"):
        call(sqlite, command(look), path, "--batch-size", 10, "--max-errors", 2)
    assert keys(sqlite) == expected(10, without=[1, 6])
    assert [row.name for row in FailedRow.objects.using(sqlite.alias).order_by("name")] == [f"{path}:3", f"{path}:8"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"key,number\na,1\n\xff,2\n", ":3: not valid UTF-8"),
        (b"key,number\na,1\nb,2,3\n", ":3: 3 values, but the header names 2 columns"),
        (b"key,number\na,1\n" + b"x" * 200_000 + b",1\n", ":3: field larger than field limit"),
        (b"key\na\n", ":2: no column 'number'"),
        (b"", ":1: no header"),
        (b"\xff\n", ":1: not valid UTF-8"),
    ],
    ids=["not-utf-8", "too-many-values", "huge", "no-column", "empty", "bad-header"],
)
def test_what_is_no_row_is_told_by_its_line(sqlite: Engine, tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "rows.csv").write_bytes(content)
    with pytest.raises(CommandError, match=words):
        call(sqlite, ByRow(), tmp_path / "rows.csv")


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param('key 2,2\nkey 3,"3\nkey 4,4\n"key 5",5\nkey 6,6\n', id="up-to-another-quote"),
        pytest.param('key 2,2\nkey 3,"3\nkey 4,4\n', id="up-to-the-end"),
        pytest.param('key 2,2\nkey 3,"3', id="cut-off"),
        pytest.param('key 2,2\n"key\n3"x,3\nkey 4,4\n', id="not-doubled"),
        pytest.param('key 2,2\n"key' + "\n" * 140_000 + '",3\nkey 4,4\n', id="huge"),
    ],
)
@pytest.mark.parametrize("is_packed", [False, True], ids=["plain", "gzip"])
def test_a_quote_that_takes_in_other_lines_ends_the_run_and_is_named(
    sqlite: Engine,
    tmp_path: Path,
    rows: str,
    is_packed: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    path = tmp_path / ("rows.csv.gz" if is_packed else "rows.csv")
    data = f"key,number\nkey 1,1\n{rows}".encode()
    path.write_bytes(gzip.compress(data) if is_packed else data)
    with pytest.raises(CommandError, match=r":4: the record that begins here .* look for an unclosed quote"):
        call(sqlite, ByRow(), path, "--max-errors", 10)
    assert not FailedRow.objects.using(sqlite.alias).exists()


def test_a_header_that_does_not_end_is_told(sqlite: Engine, tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text('key,"number\na,1\n')
    with pytest.raises(CommandError, match=":1: the record that begins here"):
        call(sqlite, ByRow(), path)


def test_a_quote_that_harms_its_own_line_makes_a_bad_line(sqlite: Engine, tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text('key,number\n"a"b,1\nkey 1,1\n')
    with pytest.raises(CommandError, match="1 failed"):
        call(sqlite, ByRow(), path, "--max-errors", 1)
    assert keys(sqlite) == ["key 1"]


def test_quotes_that_are_right_pass(sqlite: Engine, tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(b'key,number\r\n5" disk,1\r\n"a ""b""",2\r\n"c\r\nd\n\ne",3\r\n\r\n"f,g","4"')
    call(sqlite, ByRow(), path)
    assert keys(sqlite) == sorted(['5" disk', 'a "b"', "c\r\nd\n\ne", "f,g"])


@pytest.mark.parametrize("line", ["{bad", "[1]", "null", "[" * 100_000])
def test_a_line_that_is_no_json_object_is_left_out_where_that_is_allowed(
    sqlite: Engine, tmp_path: Path, line: str
) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"key": "key 0", "number": 0}\n' + line + '\n{"key": "key 1", "number": 1}\n')
    with pytest.raises(CommandError, match="1 failed"):
        call(sqlite, JSONLines(), path, "--max-errors", 1)
    assert keys(sqlite) == expected(2)
    assert FailedRow.objects.using(sqlite.alias).get().name == f"{path}:2"


def test_a_file_that_is_not_there_is_told(sqlite: Engine, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="cannot read"):
        call(sqlite, ByRow(), tmp_path / "none.csv")


def test_a_dry_run_reads_the_file_and_leaves_nothing(sqlite: Engine, tmp_path: Path) -> None:
    path = write(tmp_path / "rows.csv", 10, bad=[5])
    with pytest.raises(CommandError, match="1 would fail"):
        call(sqlite, ByRow(), path, "--dry-run", "--max-errors", 1)
    assert keys(sqlite) == []
    assert not FailedRow.objects.using(sqlite.alias).exists()


def test_a_stop_in_the_middle_keeps_what_is_whole(sqlite: Engine, tmp_path: Path) -> None:
    path = write(tmp_path / "rows.csv", 10, bad=[1, 5])
    command = ByRow()
    command.look = lambda key: command.request_stop("enough") if key == "key 3" else None
    call(sqlite, command, path, "--batch-size", 10, "--max-errors", 2)
    assert keys(sqlite) == expected(4, without=[1])
    assert FailedRow.objects.using(sqlite.alias).get().name == f"{path}:3"
    with pytest.raises(CommandError, match="2 failed"):
        call(sqlite, ByRow(), path, "--max-errors", 2)
    assert keys(sqlite) == expected(10, without=[1, 5])


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[IO[bytes]]:
    """The files that a command opens: whoever keeps the command or its error, they are to be closed."""
    files: list[IO[bytes]] = []
    really_open = records._opened

    def opening(path: Path) -> IO[bytes]:
        files.append(really_open(path))
        return files[-1]

    monkeypatch.setattr(records, "_opened", opening)
    return files


@pytest.mark.parametrize("name", ["rows.csv", "rows.csv.gz"])
def test_a_stop_in_the_middle_closes_the_file(
    sqlite: Engine, tmp_path: Path, opened: list[IO[bytes]], name: str
) -> None:
    path = write(tmp_path / "rows.csv", 10)
    if name == "rows.csv.gz":
        data, path = path.read_bytes(), tmp_path / name
        path.write_bytes(gzip.compress(data))
    command = ByRow()
    command.look = lambda key: command.request_stop("enough") if key == "key 3" else None
    call(sqlite, command, path, "--batch-size", 2)
    # The next run begins to read anew, from the start.
    command.look = lambda key: command.request_stop("enough") if key == "key 5" else None
    call(sqlite, command, path, "--batch-size", 2)
    assert [file.closed for file in opened] == [True, True]


def test_an_error_in_the_middle_closes_the_file(sqlite: Engine, tmp_path: Path, opened: list[IO[bytes]]) -> None:
    path = write(tmp_path / "rows.csv", 10, bad=[3])
    with pytest.raises(CommandError, match=r"rows\.csv:5") as first:
        call(sqlite, ByRow(), path, "--batch-size", 2)
    path.write_text(path.read_text().replace("key 0", "key zero"))
    with pytest.raises(CommandError, match="has changed: its first") as second:
        call(sqlite, ByRow(), path)
    assert [file.closed for file in opened] == [True, True], (first, second)


def test_a_retry_in_the_middle_closes_the_file(sqlite: Engine, tmp_path: Path, opened: list[IO[bytes]]) -> None:
    def refuse(key: str) -> None:
        raise CommandError("enough")

    path = write(tmp_path / "rows.csv", 10, bad=[3])
    with pytest.raises(CommandError, match="1 failed"):
        call(sqlite, ByRow(), path, "--max-errors", 1)
    write(path, 10)
    with pytest.raises(CommandError, match="enough") as caught:
        call(sqlite, ByRow(refuse), path, "--retry-failed")
    assert {file.closed for file in opened} == {True}, caught


def change(path: Path, *, delete: Sequence[int] = (), insert: Sequence[int] = (), mend: Sequence[int] = ()) -> None:
    """Delete, insert before, or mend the lines with these numbers."""
    lines: list[str] = []
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        lines += ["new,99"] if number in insert else []
        lines += [line.replace("x", str(number - 2)) if number in mend else line] if number not in delete else []
    path.write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize(
    ("bad", "changes"),
    [
        pytest.param([3], {"delete": [5]}, id="deleted"),
        pytest.param([3], {"insert": [5], "mend": [5]}, id="inserted"),
        pytest.param([3], {"insert": [2]}, id="inserted-far-before"),
        pytest.param([3, 4], {"delete": [5, 6]}, id="two-deleted"),
        pytest.param([3, 4], {"delete": [5], "mend": [6]}, id="deleted-and-mended"),
        pytest.param(range(3, 17), {"delete": range(5, 19)}, id="many-deleted"),
        pytest.param([18], {"delete": [20]}, id="last-but-one-deleted"),
        pytest.param([19], {"insert": [2], "mend": [21]}, id="inserted-before-the-last"),
    ],
)
def test_a_line_that_may_be_another_one_than_failed_is_not_done(
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
    assert "mend a bad line in its place" in failed.first().error  # type: ignore[union-attr]  # there is one
    path.write_text(before)
    change(path, mend=[number + 2 for number in bad])
    call(sqlite, ByRow(), path, "--retry-failed")
    assert keys(sqlite) == expected(20)


@pytest.mark.parametrize("size", [1, 4, 100])
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
def test_bad_lines_beside_each_other_are_done_as_they_are_mended(
    sqlite: Engine, tmp_path: Path, bad: Sequence[int], steps: Sequence[Sequence[int]], size: int
) -> None:
    path = write(tmp_path / "rows.csv", 20, bad=bad)
    with pytest.raises(CommandError, match="failed"):
        call(sqlite, ByBatch(), path, "--max-errors", 20, "--batch-size", size)
    for number, step in enumerate(steps, start=1):
        change(path, mend=step)
        with pytest.raises(CommandError) if number < len(steps) else contextlib.nullcontext():
            call(sqlite, ByBatch(), path, "--retry-failed")
    assert keys(sqlite) == expected(20)


def test_bad_lines_that_are_all_mended_can_be_done_a_few_at_a_time(sqlite: Engine, tmp_path: Path) -> None:
    path = write(tmp_path / "rows.csv", 20, bad=[3, 4, 5])
    with pytest.raises(CommandError, match="3 failed"):
        call(sqlite, ByRow(), path, "--max-errors", 3)
    write(path, 20)
    told = [call(sqlite, ByRow(), path, "--retry-failed", "--limit", 1)[0] for _ in range(3)]
    left = [f"1 done; {count} not retried; --retry-failed continues with them\n" for count in (2, 1)]
    assert told == [*left, "1 done\n"]
    assert keys(sqlite) == expected(20)


@pytest.mark.parametrize("count", [7, 15])
def test_a_block_of_bad_lines_may_be_mended_in_any_order_and_done_a_few_at_a_time(
    sqlite: Engine, tmp_path: Path, count: int
) -> None:
    path = write(tmp_path / "rows.csv", 30, bad=range(3, 3 + count))
    with pytest.raises(CommandError, match=f"{count} failed"):
        call(sqlite, ByRow(), path, "--max-errors", count)
    # All but the first are mended, and done; then the first is.
    write(path, 30, bad=[3])
    with pytest.raises(CommandError, match="1 failed"):
        call(sqlite, ByRow(), path, "--retry-failed")
    assert keys(sqlite) == expected(30, without=[3])
    write(path, 30)
    call(sqlite, ByRow(), path, "--retry-failed")
    assert keys(sqlite) == expected(30)


def test_lines_beyond_the_limit_are_known_again_when_those_behind_them_are_done(sqlite: Engine, tmp_path: Path) -> None:
    path = write(tmp_path / "rows.csv", 40, bad=range(3, 23))
    for tokens in (["--max-errors", 20], ["--retry-failed", "--limit", 2]):
        with pytest.raises(CommandError, match="failed"):
            call(sqlite, ByRow(), path, *tokens)
    write(path, 40, bad=[3, 4])
    call(sqlite, ByRow(), path, "--retry-failed", "--limit", 18)
    write(path, 40)
    call(sqlite, ByRow(), path, "--retry-failed")
    assert keys(sqlite) == expected(40)


def test_a_block_of_mended_lines_is_done_two_at_a_time(sqlite: Engine, tmp_path: Path) -> None:
    path = write(tmp_path / "rows.csv", 30, bad=range(3, 23))
    with pytest.raises(CommandError, match="20 failed"):
        call(sqlite, ByRow(), path, "--max-errors", 20)
    write(path, 30)
    for _ in range(10):
        call(sqlite, ByRow(), path, "--retry-failed", "--limit", 2)
    assert keys(sqlite) == expected(30)


def test_a_line_among_many_alike_is_done_only_where_it_is_sure_to_be_the_one(sqlite: Engine, tmp_path: Path) -> None:
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


def test_a_line_that_was_mended_is_done_also_where_the_file_has_grown(sqlite: Engine, tmp_path: Path) -> None:
    path = write(tmp_path / "rows.csv", 5, bad=[3])
    with pytest.raises(CommandError, match="1 failed"):
        call(sqlite, ByRow(), path, "--max-errors", 1)
    write(path, 7)
    call(sqlite, ByRow(), path, "--retry-failed")
    assert keys(sqlite) == expected(5)


def test_a_row_of_several_lines_is_done_when_it_is_mended(sqlite: Engine, tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text('key,number\n"a\nb",1\n"c\nd",x\n"e\nf",x\n"g\nh",4\n')
    with pytest.raises(CommandError, match="2 failed"):
        call(sqlite, ByRow(), path, "--max-errors", 2)
    path.write_text(path.read_text().replace("x", "2"))
    call(sqlite, ByRow(), path, "--retry-failed")
    assert keys(sqlite) == ["a\nb", "c\nd", "e\nf", "g\nh"]


def test_a_file_whose_reader_is_killed_anywhere_is_read_once(engine: Engine, tmp_path: Path) -> None:
    path = write(tmp_path / "rows.csv", 4, bad=[2])
    tokens = (path, "--batch-size", 2, "--max-errors", 1)
    number, code = 0, KILLED
    while code == KILLED:
        number += 1
        engine.clear()
        with engine.forked(dies_at(number, engine, engine.work(ByRow(), *tokens))) as child:
            code = child.wait()
        if code == KILLED and not engine.is_finished():
            assert engine.are_counts_right(), f"at point {number}"
            assert engine.run(ByRow(), *tokens) == 1
        assert keys(engine) == expected(4, without=[2]), f"at point {number}"
        assert FailedRow.objects.using(engine.alias).get().name == f"{path}:4"
    assert code == 1


def test_a_command_without_work_is_told(sqlite: Engine, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="neither"):
        call(sqlite, FileBatchCommand(), write(tmp_path / "rows.csv", 1))
    assert not Item.objects.using(sqlite.alias).exists()
