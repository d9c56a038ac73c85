"""Reads CSV or JSON-lines files, gzipped or not, as records with line numbers and checksums."""

from __future__ import annotations

import contextlib
import csv
import gzip
import io
import json
import zlib
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path
from typing import IO, Any, Final, Literal

from django.core.management.base import CommandError

from django_runbook.structs import Struct

Format = Literal["csv", "jsonl"]
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_LINE_BREAK: Final = ord("\n")


class Record(Struct, gc=False):
    """Holds a record, or the problem of its line.

    ``line`` is the number of its last line, from 1. ``checksum`` is that of the file up to there: it detects changes of
    the processed part of a file, and is not affected by appended lines. ``raw`` holds its lines unchanged.
    """

    line: int
    checksum: int
    raw: bytes = b""
    value: Any = None
    problem: str = ""

    @property
    def own_checksum(self) -> int:
        """Return the checksum of the record alone."""
        return zlib.crc32(self.raw.rstrip(b"\r\n"))


def read_records(path: Path, *, file_format: Format) -> Generator[Record, None, None]:
    """Yield the records of a file; raises CommandError if the file as a whole cannot be read.

    The file is open until its last record has been read or ``close()`` is called.
    """
    with opened(path) as file:
        yield from records_of(file, path, file_format=file_format)


@contextlib.contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """Open a file, decompressed; raises CommandError if it cannot be read, also later."""
    try:
        with _opened(path) as file:
            yield file
    except (OSError, EOFError, zlib.error) as error:
        raise CommandError(f"cannot read {path}: {error}") from error


def _opened(path: Path) -> IO[bytes]:
    if path.suffix == ".gz":
        # Without the buffer, each line would be a separate call of the decompressor.
        return io.BufferedReader(gzip.open(path, "rb"))
    return path.open("rb")


def records_of(lines: Iterable[bytes], path: Path, *, file_format: Format) -> Iterator[Record]:
    """Yield the records of these lines of a file."""
    reader = _LineReader(lines)
    return _csv(reader, path) if file_format == "csv" else _json(reader)


class _LineReader:
    """Decodes lines, counts and checksums them, and collects the raw lines of a record and their first problem."""

    def __init__(self, file: Iterable[bytes]) -> None:
        self.count = 0
        self.checksum = 0
        self.is_at_end = False
        self._raw = b""
        self._problem = ""
        self._file = file

    def __iter__(self) -> Iterator[str]:
        checksum, line_break = zlib.crc32, b"\n"
        for line in self._file:
            self.count += 1
            if line[-1] != _LINE_BREAK:
                # A last line without a line break stays the same line when the file grows.
                line += line_break  # noqa: PLW2901 - the same line
            self.checksum = checksum(line, self.checksum)
            self._raw += line
            if self.count == 1:
                line_break = b"\r\n" if line.endswith(b"\r\n") else b"\n"
                line = line.removeprefix(_BYTE_ORDER_MARK)  # noqa: PLW2901 - the same line
            try:
                yield line.decode()
            except UnicodeDecodeError as error:
                self._problem = self._problem or f"not valid UTF-8: {error.reason}"
                yield line.decode(errors="replace")
        self.is_at_end = True

    def take(self) -> tuple[bytes, str]:
        """Return the raw lines since the last call, and their first problem."""
        taken = self._raw, self._problem
        self._raw, self._problem = b"", ""
        return taken


def _csv(lines: _LineReader, path: Path) -> Iterator[Record]:
    reader = csv.reader(iter(lines), strict=True)
    header = _header(reader, lines, path)
    width, take = len(header), lines.take
    while True:
        first = lines.count + 1
        try:
            for row in reader:
                raw, problem = take()
                first = lines.count + 1
                # Like DictReader, skip empty lines.
                if not row:
                    continue
                value: dict[str, str | None] | None = dict(zip(header, row))  # noqa: B905 - a keyword costs a tenth more
                if len(row) != width or problem:
                    value, problem = _unusual(row, header, problem)
                yield Record(line=lines.count, checksum=lines.checksum, raw=raw, value=value, problem=problem)
        except csv.Error as error:
            _refuse_several_lines(error, lines, f"{path}:{first}", first=first)
            raw, problem = take()
            yield Record(line=lines.count, checksum=lines.checksum, raw=raw, problem=problem or str(error))
        else:
            return


def _unusual(row: list[str], header: list[str], problem: str) -> tuple[dict[str, str | None] | None, str]:
    """Return the value of a row that has a problem, or another number of values than the header has names."""
    if not problem and len(row) > len(header):
        problem = f"{len(row)} values, but the header names {len(header)} columns"
    if problem:
        return None, problem
    # The last columns of a short row are None.
    return dict(zip(header, row, strict=False)) | dict.fromkeys(header[len(row) :]), ""


def _refuse_several_lines(error: csv.Error, lines: _LineReader, name: str, *, first: int) -> None:
    # After an unclosed quote it is unknown which of the following lines are records.
    if lines.count > first or lines.is_at_end:
        raise CommandError(
            f"{name}: the record that begins here does not end up to line {lines.count}: {error}; look for an unclosed "
            "quote, or a quote inside a value that is not doubled"
        ) from error


def _header(reader: Iterator[list[str]], lines: _LineReader, path: Path) -> list[str]:
    try:
        header = next(reader, None)
        _, problem = lines.take()
    except csv.Error as error:
        _refuse_several_lines(error, lines, f"{path}:1", first=1)
        header, problem = [], str(error)
    if not header and not problem:
        problem = "no header: the first line must name the columns"
    if problem:
        raise CommandError(f"{path}:1: {problem}")
    assert header is not None
    return header


def _json(lines: _LineReader) -> Iterator[Record]:
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
