"""Imports airlines, airports and planes from CSV files, and exports them."""

from __future__ import annotations

import csv
from argparse import ArgumentParser
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import models, transaction

from flights import files
from flights.models import Airline, Airport, Plane


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Describes a file: each column with its field and the function that makes the value."""

    model: type[models.Model]
    columns: Mapping[str, tuple[str, Callable[[files.Row, str], object]]]

    def build(self, row: files.Row) -> models.Model:
        return self.model(**{field: make(row, column) for column, (field, make) in self.columns.items()})


def _text(row: files.Row, column: str) -> str:
    if row[column] is None:
        raise ValueError(f"no value for {column}")
    return row[column]


def _decimal(row: files.Row, column: str) -> float:
    return float(_text(row, column))


def _signed(row: files.Row, column: str) -> int:
    return int(_text(row, column))


TABLES = {
    "airlines": Table(model=Airline, columns={"carrier": ("code", _text), "name": ("name", _text)}),
    "airports": Table(
        model=Airport,
        columns={
            "faa": ("code", _text),
            "name": ("name", _text),
            "lat": ("latitude", _decimal),
            "lon": ("longitude", _decimal),
            "alt": ("altitude_feet", _signed),
            "tzone": ("time_zone", _text),
        },
    ),
    "planes": Table(
        model=Plane,
        columns={
            "tailnum": ("tail_number", _text),
            "year": ("year", files.optional_integer),
            "manufacturer": ("manufacturer", _text),
            "model": ("model", _text),
            "seats": ("seats", files.integer),
        },
    ),
}


class Command(BaseCommand):
    help = "Import or export airlines, airports and planes."

    def add_arguments(self, parser: ArgumentParser) -> None:
        commands = parser.add_subparsers(dest="command", required=True)
        importing = commands.add_parser("import", help="Read the CSV files of a folder.")
        importing.add_argument("folder", type=files.resolve, help="Relative to the project's folder.")
        importing.add_argument("--only", choices=sorted(TABLES), action="append", help="May be repeated.")
        exporting = commands.add_parser("export", help="Write one table to a CSV file.")
        exporting.add_argument("table", choices=sorted(TABLES))
        exporting.add_argument("--output", type=Path, required=True, help="The file to write.")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["command"] == "import":
            for table in options["only"] or TABLES:
                self.stdout.write(f"{table}: {_import(options['folder'], table)}")
        else:
            self.stdout.write(f"{options['table']}: {_export(options['table'], options['output'])}")


def _import(folder: Path, name: str) -> int:
    table = TABLES[name]
    try:
        rows = list(files.read(folder / f"{name}.csv", file_format="csv", build=table.build))
    except files.FileError as error:
        raise CommandError(str(error)) from error
    key, *rest = [field for field, _ in table.columns.values()]
    with transaction.atomic():
        table.model._default_manager.bulk_create(
            rows, batch_size=500, update_conflicts=True, unique_fields=[key], update_fields=rest
        )
    return len(rows)


def _export(name: str, output: Path) -> int:
    table = TABLES[name]
    rows = table.model._default_manager.order_by("pk").values_list(*[field for field, _ in table.columns.values()])
    try:
        with output.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(table.columns)
            writer.writerows(rows.iterator())
    except OSError as error:
        raise CommandError(f"{output}: cannot be written: {error.strerror}") from error
    return rows.count()
