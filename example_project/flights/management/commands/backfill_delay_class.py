"""Gives each flight whose delay class is missing or out of date its class, in batches along the primary key."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction
from django.db.models import Case, CharField, F, Q, Value, When

from flights.models import DelayClass, Flight

CLASSES = Case(
    When(departure_delay_minutes__isnull=True, then=Value(DelayClass.CANCELLED)),
    When(departure_delay_minutes__gte=60, then=Value(DelayClass.VERY_LATE)),
    When(departure_delay_minutes__gte=15, then=Value(DelayClass.LATE)),
    default=Value(DelayClass.ON_TIME),
    output_field=CharField(),
)


class Command(BaseCommand):
    help = "Classify each flight's delay: late from 15 minutes on, very late from 60, or cancelled."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--batch-size", type=int, default=5000, help="Flights in one transaction.")
        parser.add_argument("--all", action="store_true", help="Classify again what has the right class already.")
        parser.add_argument("--dry-run", action="store_true", help="Count what would be done.")

    def handle(self, *args: Any, **options: Any) -> None:
        size = options["batch_size"]
        if size < 1:
            raise CommandError("--batch-size must be at least 1")
        todo = Q() if options["all"] else ~Q(delay_class=CLASSES)
        if options["dry_run"]:
            self.stdout.write(f"{Flight.objects.filter(todo).count()} flights would be classified")
            return
        self.stdout.write(f"{_classify(todo, size)} flights classified")


def _classify(todo: Q, size: int) -> int:
    count, last = 0, 0
    while True:
        # By key and not by offset: the work shrinks the filter, and slices of it would leave rows out.
        keys = list(Flight.objects.filter(todo, pk__gt=last).order_by("pk").values_list(F("pk"), flat=True)[:size])
        if not keys:
            return count
        with transaction.atomic():
            count += Flight.objects.filter(todo, pk__gt=last, pk__lte=keys[-1]).update(delay_class=CLASSES)
        last = keys[-1]
