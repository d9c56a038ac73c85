"""Counts the records of a file: exactly if it is small, otherwise by a sample of its start."""

from __future__ import annotations

import io
import os
import stat
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final

from django.core.management.base import CommandError

from django_runbook.batch.sources.records import Format, opened, records_of
from django_runbook.structs import Struct

# Files of at most this size, decompressed, are read as a whole; of larger ones, only this much is read.
_SAMPLE_BYTES: Final = 8_000_000
_SAMPLE_SECONDS: Final = 2.0
_MAX_LINE: Final = 1_000_000
# With the header and the checksum of gzip.
_GZIP: Final = 16 + zlib.MAX_WBITS


class RecordCount(Struct):
    """Holds a number of records; with ``is_about``, it is extrapolated from the start of the file."""

    count: int
    is_about: bool = False


class _FileSample:
    """Reads a file line by line up to the size of a sample; a line that no sample can hold is an error."""

    def __init__(self, file: IO[bytes], path: Path) -> None:
        self.byte_count = 0
        self.line_count = 0
        self.is_whole = False
        self._file = file
        self._path = path
        self._ends_at = time.monotonic() + _SAMPLE_SECONDS

    def __iter__(self) -> Iterator[bytes]:
        while self.byte_count < _SAMPLE_BYTES and time.monotonic() < self._ends_at:
            line = self._file.readline(_MAX_LINE)
            if not line:
                self.is_whole = True
                return
            if len(line) == _MAX_LINE and not line.endswith(b"\n"):
                raise CommandError(f"{self._path}:{self.line_count + 1}: the line has more than {_MAX_LINE:,} bytes")
            self.byte_count += len(line)
            self.line_count += 1
            yield line


def count_records(path: Path, *, file_format: Format, after_line: int = 0) -> RecordCount:
    """Count the records after a line; raises CommandError for a file that a command could not read."""
    _refuse_special(path)
    with opened(path) as file:
        sample = _FileSample(file, path)
        found = later = 0
        try:
            for record in records_of(sample, path, file_format=file_format):
                found += 1
                later += record.line > after_line
        except CommandError:
            # The end of the sample may lie inside of a record.
            if sample.is_whole or not found:
                raise
        if sample.is_whole:
            return RecordCount(count=later)
        share = _read_share(path, sample.byte_count)
    total = found / share
    return RecordCount(count=max(later, round(total - after_line * found / sample.line_count)), is_about=True)


def _read_share(path: Path, byte_count: int) -> float:
    """Return which share of the file the sample is; of a compressed file, its share of the compressed bytes."""
    size = max(path.stat().st_size, 1)
    return min(1.0, (_compressed_size(path, byte_count) if path.suffix == ".gz" else byte_count) / size)


def _compressed_size(path: Path, byte_count: int) -> int:
    """Return how many bytes of the file hold its first decompressed bytes.

    They are decompressed once more: Python's own reader is up to 128 kB ahead, which is all of a small file.
    """
    with path.open("rb") as file:
        member, pending = zlib.decompressobj(_GZIP), b""
        while byte_count > 0 and (pending := pending or file.read(io.DEFAULT_BUFFER_SIZE)):
            byte_count -= len(member.decompress(pending, byte_count))
            pending = member.unconsumed_tail
            if member.eof:
                # Another member may follow, or zeros that fill a block.
                member, pending = zlib.decompressobj(_GZIP), member.unused_data.lstrip(b"\0")
        return file.tell() - len(pending)


def _refuse_special(path: Path) -> None:
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116 - its errors have no other name
    except OSError as error:
        raise CommandError(f"cannot read {path}: {error.strerror}") from error
    # A pipe would be waited for, and what is read from it is gone.
    if not stat.S_ISREG(mode):
        raise CommandError(f"{path} is not a regular file, so its records cannot be counted")
