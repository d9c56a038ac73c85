"""Sets the delay class of each flight that has none or an outdated one, in batches along the primary key."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.db.models import Case, CharField, QuerySet, Value, When

from django_runbook.batch import BatchCommand, BatchResult
from flights.models import DelayClass, Flight

CLASSES = Case(
    When(departure_delay_minutes__isnull=True, then=Value(DelayClass.CANCELLED)),
    When(departure_delay_minutes__gte=60, then=Value(DelayClass.VERY_LATE)),
    When(departure_delay_minutes__gte=15, then=Value(DelayClass.LATE)),
    default=Value(DelayClass.ON_TIME),
    output_field=CharField(),
)


class Command(BatchCommand):
    help = "Classify each flight's delay: late from 15 minutes on, very late from 60, or cancelled."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--all", action="store_true", help="Classify again what has the right class already.")

    def handle(self, *args: Any, **options: Any) -> None:
        self.is_todo = not options["all"]
        super().handle(*args, **options)

    def get_queryset(self) -> QuerySet[Flight]:
        return Flight.objects.all() if self.options["all"] else Flight.objects.exclude(delay_class=CLASSES)

    def process_batch(self, rows: QuerySet[Flight]) -> int:
        return rows.update(delay_class=CLASSES)

    def summary(self, result: BatchResult) -> str:
        return f"{result.done_count} flights {'would be ' if result.is_dry_run else ''}classified"
