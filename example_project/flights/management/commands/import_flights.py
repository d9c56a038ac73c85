"""Reads flights from a file into the database; a flight that is there already is updated, or left alone."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from flights import files
from flights.models import Flight

BATCH_SIZE = 2000
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
        parser.add_argument("--batch-size", type=int, help=f"Rows in one transaction; default: {BATCH_SIZE}.")
        known = parser.add_mutually_exclusive_group()
        known.add_argument("--update", action="store_true", help="Update flights that are known (default).")
        known.add_argument("--skip-known", action="store_true", help="Leave flights that are known as they are.")

    def handle(self, *args: Any, **options: Any) -> None:
        config = _read_config(options["config"])
        exclude = {*options["exclude"], *config.get("exclude", ())}
        size = config.get("batch_size", BATCH_SIZE) if options["batch_size"] is None else options["batch_size"]
        if size < 1:
            raise CommandError("--batch-size must be at least 1")
        flights = files.read(files.resolve(options["file"]), file_format=options["format"], build=files.to_flight)
        before = Flight.objects.count()
        try:
            wanted = (flight for flight in flights if flight.carrier not in exclude)
            count = _save(wanted, size, is_update=not options["skip_known"])
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
    if not isinstance(config, dict):
        raise CommandError(f"{path}: not a JSON object")
    unknown = set(config) - {"exclude", "batch_size"}
    if unknown:
        raise CommandError(f"{path}: unknown: {', '.join(sorted(unknown))}")
    exclude = config.get("exclude", [])
    if not (isinstance(exclude, list) and all(isinstance(carrier, str) for carrier in exclude)):
        raise CommandError(f'{path}: "exclude" must be a list of carriers, as in ["EV", "MQ"]')
    if type(config.get("batch_size", 1)) is not int:  # a bool is an int to isinstance
        raise CommandError(f'{path}: "batch_size" must be a whole number')
    return config


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
