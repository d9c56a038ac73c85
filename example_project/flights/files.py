"""Files of flights to rows: plain or gzipped, CSV or JSON lines, one row at a time."""

from __future__ import annotations

import csv
import datetime
import gzip
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO
from zoneinfo import ZoneInfo

from django.conf import settings

from flights.models import Flight

NEW_YORK = ZoneInfo("America/New_York")
REQUIRED = ("year", "month", "day", "sched_dep_time", "carrier", "flight", "origin", "dest", "distance")


class FileError(Exception):
    """A line cannot be read; the message names the file and the line."""


def resolve(name: str) -> Path:
    """A path of the command line; relative ones are looked up in the project's folder, not in the working directory."""
    return Path(settings.BASE_DIR) / name


def open_text(path: Path) -> IO[str]:
    """The file as text, unpacked when its name ends in ``.gz``."""
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8", newline="")
    return path.open(encoding="utf-8", newline="")


def read_rows(file: Iterable[str], *, file_format: str) -> Iterator[tuple[int, Mapping[str, str]]]:
    """Each row with the number of its line."""
    if file_format == "csv":
        reader = csv.DictReader(file)
        for row in reader:
            yield reader.line_num, row
        return
    for number, line in enumerate(file, start=1):
        if line.strip():
            yield number, {key: "" if value is None else str(value) for key, value in json.loads(line).items()}


def to_flight(row: Mapping[str, str]) -> Flight:
    """A row as a flight; raises KeyError or ValueError for one that is not."""
    missing = [name for name in REQUIRED if not row.get(name)]
    if missing:
        raise ValueError(f"no value for {', '.join(missing)}")
    day = datetime.date(int(row["year"]), int(row["month"]), int(row["day"]))
    hour, minute = divmod(int(row["sched_dep_time"]), 100)
    return Flight(
        scheduled_at=datetime.datetime.combine(day, datetime.time(hour, minute), tzinfo=NEW_YORK),
        day=day,
        carrier=row["carrier"],
        number=int(row["flight"]),
        tail_number=row.get("tailnum") or "",
        origin=row["origin"],
        destination=row["dest"],
        departure_delay_minutes=optional_integer(row.get("dep_delay")),
        arrival_delay_minutes=optional_integer(row.get("arr_delay")),
        air_time_minutes=optional_integer(row.get("air_time")),
        distance_miles=int(row["distance"]),
    )


def optional_integer(text: str | None) -> int | None:
    """Empty and ``NA`` say that there is no value."""
    return None if text in {None, "", "NA"} else int(float(str(text)))
