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
_LINE_BREAK: Final = ord("\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A record, or what is wrong with its line.

    ``line`` is the number of its last line, from 1, and ``checksum`` that of the file up to there: it tells whether
    what was done once is still what the file begins with, whether or not something was added to its end since.
    ``raw`` are its lines as they are in the file.
    """

    line: int
    checksum: int
    raw: bytes = b""
    value: Any = None
    problem: str = ""

    @property
    def own_checksum(self) -> int:
        """That of the record alone."""
        return zlib.crc32(self.raw.rstrip(b"\r\n"))


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
    """The lines as text; counts them, sums them up, and keeps what came since it was asked, with its first problem."""

    def __init__(self, file: IO[bytes]) -> None:
        self.count = 0
        self.checksum = 0
        self.is_at_end = False
        self._file = file
        self._raw: list[bytes] = []
        self._problem = ""

    def __iter__(self) -> Iterator[str]:
        checksum, line_break = zlib.crc32, b"\n"
        for line in self._file:
            self.count += 1
            if line[-1] != _LINE_BREAK:
                # The last line gets its break when the file grows, and is the same line then.
                line += line_break  # noqa: PLW2901 - the same line
            self.checksum = checksum(line, self.checksum)
            self._raw.append(line)
            if self.count == 1:
                line_break = b"\r\n" if line.endswith(b"\r\n") else b"\n"
                line = line.removeprefix(_BYTE_ORDER_MARK)  # noqa: PLW2901 - the same line
            try:
                yield line.decode()
            except UnicodeDecodeError as error:
                self._problem = self._problem or f"cannot be read as UTF-8: {error.reason}"
                yield line.decode(errors="replace")
        self.is_at_end = True

    def take(self) -> tuple[bytes, str]:
        raw, problem, self._raw, self._problem = self._raw, self._problem, [], ""
        return b"".join(raw), problem


def _csv(lines: _Lines, path: Path) -> Iterator[Record]:
    reader = csv.reader(iter(lines), strict=True)
    header = _header(reader, lines, path)
    while True:
        first = lines.count + 1
        try:
            row = next(reader, None)
            raw, problem = lines.take()
        except csv.Error as error:
            _refuse_several_lines(error, lines, f"{path}:{first}", first=first)
            row = [""]
            raw, problem = lines.take()
            problem = problem or str(error)
        if row is None:
            return
        # DictReader goes past empty lines as well.
        if not row:
            continue
        if not problem and len(row) > len(header):
            problem = f"{len(row)} values, and the first line names {len(header)} columns"
        value: dict[str, str | None] | None = None if problem else dict(zip(header, row, strict=False))
        if value is not None and len(row) < len(header):
            # A short row has no value in its last columns.
            value |= dict.fromkeys(header[len(row) :])
        yield Record(line=lines.count, checksum=lines.checksum, raw=raw, value=value, problem=problem)


def _refuse_several_lines(error: csv.Error, lines: _Lines, name: str, *, first: int) -> None:
    """Where a quote has taken in the lines that follow, nobody knows which of them are records."""
    if lines.count > first or lines.is_at_end:
        raise CommandError(
            f"{name}: the record that begins here does not end as one, up to line {lines.count}: {error}; look for a "
            "quote that opens a value and is never closed, or one inside a value that is not doubled"
        ) from error


def _header(reader: Iterator[list[str]], lines: _Lines, path: Path) -> list[str]:
    try:
        header = next(reader, None)
        _, problem = lines.take()
    except csv.Error as error:
        _refuse_several_lines(error, lines, f"{path}:1", first=1)
        header, problem = [], str(error)
    if not header and not problem:
        problem = "no header: the first line names the columns"
    if problem:
        raise CommandError(f"{path}:1: {problem}")
    assert header is not None
    return header


def _json(lines: _Lines) -> Iterator[Record]:
    for line in lines:
        raw, problem = lines.take()
        if not problem and not line.strip():
            continue
        value = None
        if not problem:
            value, problem = _json_value(line)
        yield Record(line=lines.count, checksum=lines.checksum, raw=raw, value=value, problem=problem)


def _json_value(line: str) -> tuple[Any, str]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        return None, f"not JSON: {error}"
    return (value, "") if isinstance(value, dict) else (None, "not a JSON object")
