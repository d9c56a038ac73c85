"""Keeps the words by which flights are found, in batches along the primary key."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from flights.models import Airline, Airport, Flight, SearchEntry


class Command(BaseCommand):
    help = "Write a search entry for each flight that has none, or for all."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--batch-size", type=int, default=2000, help="Flights in one transaction.")
        parser.add_argument("--all", action="store_true", help="Write the entries that are there again.")

    def handle(self, *args: Any, **options: Any) -> None:
        size = options["batch_size"]
        if size < 1:
            raise CommandError("--batch-size must be at least 1")
        names = dict(Airline.objects.values_list("code", "name")) | dict(Airport.objects.values_list("code", "name"))
        count = last = 0
        while flights := _next(last, size, is_all=options["all"]):
            with transaction.atomic():
                SearchEntry.objects.bulk_create(
                    [SearchEntry(flight=flight, words=_words(flight, names)) for flight in flights],
                    update_conflicts=True,
                    unique_fields=["flight"],
                    update_fields=["words"],
                )
            count, last = count + len(flights), flights[-1].pk
        self.stdout.write(f"{count} entries written")


def _next(last: int, size: int, *, is_all: bool) -> list[Flight]:
    flights = Flight.objects.filter(pk__gt=last)
    if not is_all:
        flights = flights.filter(searchentry__isnull=True)
    return list(flights.order_by("pk")[:size])


def _words(flight: Flight, names: Mapping[str, str]) -> str:
    codes = (flight.carrier, flight.origin, flight.destination)
    return " ".join([*codes, str(flight.number), flight.tail_number, *(names.get(code, "") for code in codes)])
