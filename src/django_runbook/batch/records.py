"""Lines of a file to records: CSV or JSON lines, gzipped or not, each with its line and a sum of all before it."""

from __future__ import annotations

import csv
import gzip
import io
import json
import zlib
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final, Literal

from django.core.management.base import CommandError

Format = Literal["csv", "jsonl"]
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A record, or what is wrong with its line.

    ``line`` is the number of its last line, from 1, and ``checksum`` that of the file up to there: it tells whether
    what was done once is still what the file begins with, whether or not something was added to its end since.
    """

    line: int
    checksum: int
    value: Any = None
    problem: str = ""


def read_records(path: Path, *, file_format: Format) -> Generator[Record, None, None]:
    """The records of a file, one at a time; raises CommandError where the file as a whole cannot be read.

    The file is open until its last record has been read, or ``close()`` is called.
    """
    try:
        with _opened(path) as file:
            lines = _Lines(file)
            yield from _csv(lines, path) if file_format == "csv" else _json(lines)
    except (OSError, EOFError, zlib.error) as error:
        raise CommandError(f"{path}: cannot be read: {error}") from error


def _opened(path: Path) -> IO[bytes]:
    if path.suffix == ".gz":
        # Without the buffer each line would be asked of the unpacking one by one.
        return io.BufferedReader(gzip.open(path, "rb"))
    return path.open("rb")


class _Lines:
    """The lines as text; counts them, sums them up, and notes the first that is no UTF-8 since it was asked last."""

    def __init__(self, file: IO[bytes]) -> None:
        self.count = 0
        self.checksum = 0
        self._file = file
        self._problem = ""

    def __iter__(self) -> Iterator[str]:
        checksum = zlib.crc32
        for line in self._file:
            self.count += 1
            self.checksum = checksum(line, self.checksum)
            if self.count == 1:
                line = line.removeprefix(_BYTE_ORDER_MARK)  # noqa: PLW2901 - the same line
            try:
                yield line.decode()
            except UnicodeDecodeError as error:
                self._problem = self._problem or f"cannot be read as UTF-8: {error.reason}"
                yield line.decode(errors="replace")

    def take_problem(self) -> str:
        problem, self._problem = self._problem, ""
        return problem


def _csv(lines: _Lines, path: Path) -> Iterator[Record]:
    reader = csv.reader(iter(lines))
    header = _header(reader, lines, path)
    while True:
        try:
            row = next(reader, None)
            problem = lines.take_problem()
        except csv.Error as error:
            row, problem = [""], lines.take_problem() or str(error)
        if row is None:
            return
        # DictReader goes past empty lines as well.
        if not row:
            continue
        if not problem and len(row) > len(header):
            problem = f"{len(row)} values, and the first line names {len(header)} columns"
        # A short row has no value in its last columns.
        value = None if problem else dict(zip(header, row + [None] * (len(header) - len(row)), strict=True))
        yield Record(line=lines.count, checksum=lines.checksum, value=value, problem=problem)


def _header(reader: Iterator[list[str]], lines: _Lines, path: Path) -> list[str]:
    try:
        header = next(reader, None)
        problem = lines.take_problem()
    except csv.Error as error:
        header, problem = [], str(error)
    if not header and not problem:
        problem = "no header: the first line names the columns"
    if problem:
        raise CommandError(f"{path}:1: {problem}")
    assert header is not None
    return header


def _json(lines: _Lines) -> Iterator[Record]:
    for line in lines:
        problem = lines.take_problem()
        if not problem and not line.strip():
            continue
        value = None
        if not problem:
            value, problem = _json_value(line)
        yield Record(line=lines.count, checksum=lines.checksum, value=value, problem=problem)


def _json_value(line: str) -> tuple[Any, str]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        return None, f"not JSON: {error}"
    return (value, "") if isinstance(value, dict) else (None, "not a JSON object")
