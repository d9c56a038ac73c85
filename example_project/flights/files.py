"""Reads files of flights one row at a time: plain or gzipped, CSV or JSON lines."""

from __future__ import annotations

import csv
import datetime
import gzip
import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, TypeVar
from zoneinfo import ZoneInfo

from django.conf import settings

from flights.models import Flight

T = TypeVar("T")
Row = Mapping[str, str]

NEW_YORK = ZoneInfo("America/New_York")
REQUIRED = ("year", "month", "day", "sched_dep_time", "carrier", "flight", "origin", "dest", "distance")
# SQLite takes any length and any number; other databases, and the next reader, do not.
LONGEST = {"carrier": 3, "tailnum": 6, "origin": 4, "dest": 4}
SMALLEST, LARGEST = -32_768, 32_767


class FileError(Exception):
    """Reports a file or line that cannot be read; the message names both."""


class LineError(Exception):
    """Reports what is wrong with a line, by its number."""

    def __init__(self, number: int, reason: str) -> None:
        super().__init__(reason)
        self.number = number


def resolve(name: str) -> Path:
    """Resolve a path of the command line; a relative path starts at the project's folder, not the working directory."""
    return Path(settings.BASE_DIR) / name


def open_text(path: Path) -> IO[str]:
    """Open the file as text, unpacked if its name ends in ``.gz``."""
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def read(path: Path, *, file_format: str, build: Callable[[Row], T]) -> Iterator[T]:
    """Yield the result of ``build`` for each row; raise FileError, also for rows that ``build`` refuses."""
    try:
        with open_text(path) as file:
            for number, row in read_rows(file, file_format=file_format):
                yield _built(row, number=number, build=build)
    except LineError as error:
        raise FileError(f"{path}:{error.number}: {error}") from error
    except UnicodeDecodeError as error:
        raise FileError(f"{path}: cannot be read as UTF-8: {error.reason}") from error
    except (OSError, EOFError, zlib.error) as error:
        raise FileError(f"{path}: cannot be read: {error}") from error


def read_rows(file: Iterable[str], *, file_format: str) -> Iterator[tuple[int, Row]]:
    """Yield each row with its line number; raise LineError for a line that is not a row."""
    return _csv_rows(file) if file_format == "csv" else _json_rows(file)


def _csv_rows(file: Iterable[str]) -> Iterator[tuple[int, Row]]:
    reader = csv.DictReader(file)
    try:
        if reader.fieldnames is None:
            raise LineError(1, "no header: the first line names the columns")
        for row in reader:
            yield reader.line_num, row
    except csv.Error as error:
        raise LineError(reader.reader.line_num, str(error)) from error


def _json_rows(file: Iterable[str]) -> Iterator[tuple[int, Row]]:
    for number, line in enumerate(file, start=1):
        if line.strip():
            yield number, _json_row(line, number=number)


def _json_row(line: str, *, number: int) -> Row:
    try:
        values = json.loads(line)
    except ValueError as error:
        raise LineError(number, f"not JSON: {error}") from error
    if not isinstance(values, dict):
        raise LineError(number, "not a JSON object")
    return {key: "" if value is None else str(value) for key, value in values.items()}


def _built(row: Row, *, number: int, build: Callable[[Row], T]) -> T:
    try:
        return build(row)
    except KeyError as error:
        raise LineError(number, f"no column {error}") from error
    except ValueError as error:
        raise LineError(number, str(error)) from error


def to_flight(row: Row) -> Flight:
    """Return a row as a flight; raise ValueError if it is not one."""
    missing = [name for name in REQUIRED if not row.get(name)]
    if missing:
        raise ValueError(f"no value for {', '.join(missing)}")
    day = datetime.date(integer(row, "year"), integer(row, "month"), integer(row, "day"))
    hour, minute = divmod(integer(row, "sched_dep_time"), 100)
    return Flight(
        scheduled_at=datetime.datetime.combine(day, datetime.time(hour, minute), tzinfo=NEW_YORK),
        day=day,
        carrier=_code(row, "carrier"),
        number=integer(row, "flight"),
        tail_number="" if row.get("tailnum") == "NA" else _code(row, "tailnum"),
        origin=_code(row, "origin"),
        destination=_code(row, "dest"),
        departure_delay_minutes=optional_integer(row, "dep_delay"),
        arrival_delay_minutes=optional_integer(row, "arr_delay"),
        air_time_minutes=optional_integer(row, "air_time"),
        distance_miles=integer(row, "distance"),
    )


def integer(row: Row, name: str) -> int:
    """Parse a count such as ``12``; raise ValueError if it is not a number, or too large."""
    return _whole(row[name], name=name, smallest=0)


def optional_integer(row: Row, name: str) -> int | None:
    """Parse minutes or a year; an empty string and ``NA`` mean that there is no value."""
    text = row.get(name)
    return None if text in {None, "", "NA"} else _whole(str(text), name=name, smallest=SMALLEST)


def _whole(text: str, *, name: str, smallest: int) -> int:
    try:
        value = float(text)
    except (TypeError, ValueError):
        value = float("nan")
    if not value.is_integer():
        raise ValueError(f"{name}: {text!r} is not a whole number")
    if not smallest <= value <= LARGEST:
        raise ValueError(f"{name}: {text} is not between {smallest} and {LARGEST}")
    return int(value)


def _code(row: Row, name: str) -> str:
    text = row.get(name) or ""
    if len(text) > LONGEST[name]:
        raise ValueError(f"{name}: {text!r} is longer than {LONGEST[name]} characters")
    return text
