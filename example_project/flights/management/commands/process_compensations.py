"""Books the compensations for very late and cancelled flights, in one process at a time."""

from __future__ import annotations

from argparse import ArgumentParser
from datetime import date
from typing import Any

from django.db import transaction

from django_runbook.batch.parts.locked_command import LockedCommand
from flights.models import Compensation, DelayClass, Flight

AMOUNTS = {DelayClass.VERY_LATE: 5_000, DelayClass.CANCELLED: 20_000}


class Command(LockedCommand):
    help = "Book a compensation for each very late or cancelled flight that has none."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--day", type=date.fromisoformat, help="Only flights of this day, as in 2013-01-31.")
        parser.add_argument("--dry-run", action="store_true", help="Count what would be booked.")

    def handle(self, *args: Any, **options: Any) -> None:
        flights = Flight.objects.filter(delay_class__in=AMOUNTS, compensation__isnull=True)
        if options["day"]:
            flights = flights.filter(day=options["day"])
        if options["dry_run"]:
            self.stdout.write(f"{flights.count()} compensations would be booked")
            return
        with transaction.atomic():
            booked = Compensation.objects.bulk_create(
                [
                    Compensation(flight=flight, amount_cents=AMOUNTS[DelayClass(flight.delay_class)])
                    for flight in flights.iterator()
                ],
                batch_size=1000,
            )
        total = sum(compensation.amount_cents for compensation in booked)
        self.stdout.write(f"{len(booked)} compensations booked, {total / 100:,.2f} in all")
