"""Reads flights from a file into the database; a flight that is there already is updated, or left alone."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from flights import files
from flights.models import Flight

KEY = ["scheduled_at", "carrier", "number", "origin"]
VALUES = [
    "tail_number",
    "destination",
    "departure_delay_minutes",
    "arrival_delay_minutes",
    "air_time_minutes",
    "distance_miles",
]


class Command(BaseCommand):
    help = "Import flights from a CSV or JSON-lines file, gzipped or not."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", help="The file; relative to the project's folder.")
        parser.add_argument("--format", choices=["csv", "jsonl"], default="csv", help="Default: csv.")
        parser.add_argument("--exclude", nargs="+", default=[], metavar="CARRIER", help="Carriers to leave out.")
        parser.add_argument("--config", type=files.resolve, help='A JSON file with "exclude" and "batch_size".')
        parser.add_argument("--batch-size", type=int, default=2000, help="Rows in one transaction.")
        known = parser.add_mutually_exclusive_group()
        known.add_argument("--update", action="store_true", help="Update flights that are known (default).")
        known.add_argument("--skip-known", action="store_true", help="Leave flights that are known as they are.")

    def handle(self, *args: Any, **options: Any) -> None:
        config = _read_config(options["config"])
        exclude = {*options["exclude"], *config.get("exclude", ())}
        size = config.get("batch_size", options["batch_size"])
        path = files.resolve(options["file"])
        if size < 1:
            raise CommandError("--batch-size must be at least 1")
        before = Flight.objects.count()
        try:
            with files.open_text(path) as file:
                count = _save(
                    _flights(path, file, options["format"], exclude), size, is_update=not options["skip_known"]
                )
        except (OSError, EOFError, UnicodeDecodeError) as error:
            raise CommandError(f"{path}: cannot be read: {error}") from error
        except files.FileError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{count} flights read, {Flight.objects.count() - before} of them new")


def _read_config(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CommandError(f"{path}: {error}") from error
    unknown = set(config) - {"exclude", "batch_size"} if isinstance(config, dict) else {"not an object"}
    if unknown:
        raise CommandError(f"{path}: unknown: {', '.join(sorted(unknown))}")
    return dict(config)


def _flights(path: Path, file: Iterable[str], file_format: str, exclude: set[str]) -> Iterator[Flight]:
    number = 0
    try:
        for number, row in files.read_rows(file, file_format=file_format):  # noqa: B007 - the handler tells it
            flight = files.to_flight(row)
            if flight.carrier not in exclude:
                yield flight
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise files.FileError(f"{path}:{number}: {error}") from error


def _save(flights: Iterator[Flight], size: int, *, is_update: bool) -> int:
    count = 0
    how: dict[str, Any] = (
        {"update_conflicts": True, "unique_fields": KEY, "update_fields": VALUES}
        if is_update
        else {"ignore_conflicts": True}
    )
    while batch := list(islice(flights, size)):
        with transaction.atomic():
            Flight.objects.bulk_create(batch, batch_size=size, **how)
        count += len(batch)
    return count
