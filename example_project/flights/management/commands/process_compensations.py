"""Books what the passengers of very late and cancelled flights are owed; one process at a time."""

from __future__ import annotations

import contextlib
import fcntl
import os
from argparse import ArgumentParser
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from flights.models import Compensation, DelayClass, Flight

AMOUNTS = {DelayClass.VERY_LATE: 5_000, DelayClass.CANCELLED: 20_000}
# EX_TEMPFAIL of sysexits.h: try again later.
LOCKED = 75


class Command(BaseCommand):
    help = "Book a compensation for each very late or cancelled flight that has none."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--day", type=date.fromisoformat, help="Only flights of this day, as in 2013-01-31.")
        parser.add_argument("--dry-run", action="store_true", help="Count what would be booked.")

    def handle(self, *args: Any, **options: Any) -> None:
        with _single_instance():
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


@contextlib.contextmanager
def _single_instance() -> Iterator[None]:
    path = Path(settings.VAR_DIR) / "process_compensations.lock"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise CommandError("another process_compensations is at work", returncode=LOCKED) from error
        yield
    finally:
        os.close(descriptor)
