"""Counts flights by their delay class."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from datetime import date
from typing import Any

from django.core.management.base import BaseCommand
from django.db.models import Count

from flights.models import DelayClass, Flight


class Command(BaseCommand):
    help = "Count flights by delay class."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--day", type=date.fromisoformat, help="Only flights of this day, as in 2013-01-31.")
        parser.add_argument("--format", choices=["text", "json"], default="text")

    def handle(self, *args: Any, **options: Any) -> None:
        flights = Flight.objects.filter(day=options["day"]) if options["day"] else Flight.objects.all()
        found = dict(flights.values_list("delay_class").annotate(count=Count("pk")))
        counts = {name.value: found.get(name.value, 0) for name in DelayClass} | {"unclassified": found.get("", 0)}
        counts["total"] = sum(counts.values())
        if options["format"] == "json":
            self.stdout.write(json.dumps(counts))
        else:
            self.stdout.write("\n".join(f"{name}: {count}" for name, count in counts.items()))
