"""Reads flights from a file into the database; an existing flight is updated, or left as it is."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from django_runbook.batch import BatchResult, FileBatchCommand
from django_runbook.batch.sources.records import Format
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


class Command(FileBatchCommand):
    help = "Import flights from a CSV or JSON-lines file."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", help="The file, unpacked if it ends in .gz; relative to the project's folder.")
        parser.add_argument("--format", choices=["csv", "jsonl"], default="csv", help="Default: csv.")
        parser.add_argument("--exclude", nargs="+", default=[], metavar="CARRIER", help="Carriers to leave out.")
        parser.add_argument("--config", type=files.resolve, help='A JSON file with "exclude" and "batch_size".')
        known = parser.add_mutually_exclusive_group()
        known.add_argument("--update", action="store_true", help="Update flights that are known (default).")
        known.add_argument("--skip-known", action="store_true", help="Leave flights that are known as they are.")

    def handle(self, *args: Any, **options: Any) -> None:
        config = _read_config(options["config"])
        self.excluded = {*options["exclude"], *config.get("exclude", ())}
        if options["batch_size"] is None and options["target_time"] is None:
            options["batch_size"] = config.get("batch_size", BATCH_SIZE)
        if options["batch_size"] is not None and options["batch_size"] < 1:
            raise CommandError("the batch size must be at least 1")
        self.count_before = Flight.objects.using(self.database).count()
        super().handle(*args, **options)

    def get_path(self) -> Path:
        return files.resolve(self.options["file"])

    def get_format(self) -> Format:
        return "jsonl" if self.options["format"] == "jsonl" else "csv"

    def parse_row(self, row: Any) -> Flight:
        return files.to_flight({name: "" if value is None else str(value) for name, value in row.items()})

    def process_batch(self, rows: Sequence[Flight]) -> int:
        wanted = [flight for flight in rows if flight.carrier not in self.excluded]
        how: dict[str, Any] = {"update_conflicts": True, "unique_fields": KEY, "update_fields": VALUES}
        if self.options["skip_known"]:
            how = {"ignore_conflicts": True}
        Flight.objects.using(self.database).bulk_create(wanted, **how)
        return len(wanted)

    def summary(self, result: BatchResult) -> str:
        count = Flight.objects.using(self.database).count() - self.count_before
        return f"{result.done_count} flights read, {count} of them new"


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
