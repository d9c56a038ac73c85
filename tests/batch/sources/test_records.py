"""Tests how files are read as records."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path

import pytest
from django.core.management.base import CommandError

from django_runbook.models.checkpoints import FailedRow
from tests.batch.engines import Engine
from tests.batch.file_commands import ByRow, JSONLines, call, expected, keys, write


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
def test_an_invalid_row_is_reported_with_its_line(sqlite: Engine, tmp_path: Path, content: bytes, words: str) -> None:
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
        pytest.param('key 2,2\n"key' + "\n" * 140_000 + '",3\nkey 4,4\n', id="huge", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("is_packed", [False, True], ids=["plain", "gzip"])
def test_an_unclosed_quote_ends_the_run_and_is_named(
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


def test_an_unfinished_header_is_reported(sqlite: Engine, tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text('key,"number\na,1\n')
    with pytest.raises(CommandError, match=":1: the record that begins here"):
        call(sqlite, ByRow(), path)


def test_a_misplaced_quote_makes_a_bad_line(sqlite: Engine, tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text('key,number\n"a"b,1\nkey 1,1\n')
    with pytest.raises(CommandError, match="1 failed"):
        call(sqlite, ByRow(), path, "--max-errors", 1)
    assert keys(sqlite) == ["key 1"]


def test_valid_quotes_are_accepted(sqlite: Engine, tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(b'key,number\r\n5" disk,1\r\n"a ""b""",2\r\n"c\r\nd\n\ne",3\r\n\r\n"f,g","4"')
    call(sqlite, ByRow(), path)
    assert keys(sqlite) == sorted(['5" disk', 'a "b"', "c\r\nd\n\ne", "f,g"])


@pytest.mark.parametrize("line", ["{bad", "[1]", "null", "[" * 100_000])
def test_a_line_that_is_not_a_json_object_is_skipped_if_errors_are_tolerated(
    sqlite: Engine, tmp_path: Path, line: str
) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"key": "key 0", "number": 0}\n' + line + '\n{"key": "key 1", "number": 1}\n')
    with pytest.raises(CommandError, match="1 failed"):
        call(sqlite, JSONLines(), path, "--max-errors", 1)
    assert keys(sqlite) == expected(2)
    assert FailedRow.objects.using(sqlite.alias).get().name == f"{path}:2"


def test_a_missing_file_is_reported(sqlite: Engine, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="cannot read"):
        call(sqlite, ByRow(), tmp_path / "none.csv")
