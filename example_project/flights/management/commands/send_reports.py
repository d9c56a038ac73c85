"""Mails the figures of a day or of a month, read from the replica."""

from __future__ import annotations

from argparse import ArgumentParser
from datetime import date
from typing import Any

from django.conf import settings
from django.core.mail import EmailMessage
from django.core.management.base import CommandError
from django.db.models import Avg, Count, Max, Q, QuerySet

from django_runbook.batch.parts.database_command import DatabaseCommand
from flights.models import DelayClass, Flight


class Command(DatabaseCommand):
    help = "Mail a report of the flights of a day or of a month."
    read_only = True
    default_database = "replica"

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--type", choices=["daily", "monthly"], required=True)
        parser.add_argument("--day", type=date.fromisoformat, help="Default: the last day that has flights.")
        parser.add_argument("--to", action="append", metavar="ADDRESS", help="May be repeated.")

    def handle(self, *args: Any, **options: Any) -> None:
        flights = Flight.objects.using(self.database)
        day = options["day"] or flights.aggregate(last=Max("day"))["last"]
        if day is None:
            raise CommandError("there are no flights to report on")
        period = {"day": day} if options["type"] == "daily" else {"day__year": day.year, "day__month": day.month}
        title = f"Flights of {day:%Y-%m-%d}" if options["type"] == "daily" else f"Flights of {day:%Y-%m}"
        to = options["to"] or ["operations@example.com"]
        EmailMessage(title, _text(flights.filter(**period)), settings.DEFAULT_FROM_EMAIL, to).send()
        self.stdout.write(f"{title}: mailed to {', '.join(to)}")


def _text(flights: QuerySet[Flight]) -> str:
    rows = (
        flights.values("origin")
        .annotate(
            count=Count("pk"),
            cancelled=Count("pk", filter=Q(delay_class=DelayClass.CANCELLED)),
            delay=Avg("departure_delay_minutes"),
        )
        .order_by("origin")
    )
    lines = [
        f"{row['origin']}: {row['count']} flights, {row['cancelled']} cancelled, {row['delay'] or 0:.1f} min"
        for row in rows
    ]
    return "\n".join(lines or ["No flights."]) + "\n"
