"""Airlines, airports and planes: in from CSV files, out to them."""

from __future__ import annotations

import csv
from argparse import ArgumentParser
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import models, transaction

from flights import files
from flights.models import Airline, Airport, Plane

Row = Mapping[str, str]
TABLES: dict[str, tuple[type[models.Model], Callable[[Row], models.Model]]] = {
    "airlines": (Airline, lambda row: Airline(code=row["carrier"], name=row["name"])),
    "airports": (
        Airport,
        lambda row: Airport(
            code=row["faa"],
            name=row["name"],
            latitude=float(row["lat"]),
            longitude=float(row["lon"]),
            altitude_feet=int(row["alt"]),
            time_zone=row["tzone"],
        ),
    ),
    "planes": (
        Plane,
        lambda row: Plane(
            tail_number=row["tailnum"],
            year=files.optional_integer(row["year"]),
            manufacturer=row["manufacturer"],
            model=row["model"],
            seats=int(row["seats"]),
        ),
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


def _import(folder: Path, table: str) -> int:
    model, build = TABLES[table]
    path = folder / f"{table}.csv"
    line = 1
    rows: list[models.Model] = []
    try:
        with files.open_text(path) as file:
            for line, row in files.read_rows(file, file_format="csv"):  # noqa: B007 - the handler tells it
                rows.append(build(row))
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise CommandError(f"{path}:{line}: {error}") from error
    fields = [field for field in model._meta.concrete_fields if not field.primary_key]
    key = model._meta.pk
    assert key is not None
    with transaction.atomic():
        model._default_manager.bulk_create(
            rows,
            batch_size=500,
            update_conflicts=True,
            unique_fields=[key.name],
            update_fields=[field.name for field in fields],
        )
    return len(rows)


def _export(table: str, output: Path) -> int:
    model, _ = TABLES[table]
    names = [field.name for field in model._meta.concrete_fields]
    rows = model._default_manager.order_by("pk").values_list(*names)
    try:
        with output.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(names)
            writer.writerows(rows.iterator())
    except OSError as error:
        raise CommandError(f"{output}: {error.strerror}") from error
    return rows.count()
