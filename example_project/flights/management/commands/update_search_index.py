"""Updates the search words of flights, in batches along the primary key."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterator, Mapping
from typing import Any

from django.core.management.base import CommandError
from django.db import transaction
from django.db.models import QuerySet

from django_runbook.batch.parts.progress_command import ProgressCommand
from flights.models import Airline, Airport, Flight, SearchEntry


class Command(ProgressCommand):
    help = "Write a search entry for each flight that has none, or for all."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--batch-size", type=int, default=2000, help="Flights in one transaction.")
        parser.add_argument("--all", action="store_true", help="Write the entries that are there again.")

    def handle(self, *args: Any, **options: Any) -> None:
        size = options["batch_size"]
        if size < 1:
            raise CommandError("--batch-size must be at least 1")
        names = dict(Airline.objects.values_list("code", "name")) | dict(Airport.objects.values_list("code", "name"))
        flights = Flight.objects.all() if options["all"] else Flight.objects.filter(searchentry__isnull=True)
        count = 0
        with self.progress(total=flights.count(), description="Search entries") as progress:
            for batch in _batches(flights, size):
                with transaction.atomic():
                    SearchEntry.objects.bulk_create(
                        [SearchEntry(flight=flight, words=_words(flight, names)) for flight in batch],
                        update_conflicts=True,
                        unique_fields=["flight"],
                        update_fields=["words"],
                    )
                count += len(batch)
                progress.update(count)
        self.stdout.write(f"{count} entries written")


def _batches(flights: QuerySet[Flight], size: int) -> Iterator[list[Flight]]:
    last = 0
    while batch := list(flights.filter(pk__gt=last).order_by("pk")[:size]):
        yield batch
        last = batch[-1].pk


def _words(flight: Flight, names: Mapping[str, str]) -> str:
    codes = (flight.carrier, flight.origin, flight.destination)
    return " ".join([*codes, str(flight.number), flight.tail_number, *(names.get(code, "") for code in codes)])
