"""Adds an effect, says so, and takes its time."""

from __future__ import annotations

import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from tests.queues.queueapp.models import Effect


class Command(BaseCommand):
    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name")
        parser.add_argument("--seconds", type=float, default=0.0)
        parser.add_argument("--first-seconds", type=float, default=0.0, help="the time after the first effect")
        parser.add_argument("--until", default="", help="the effect that ends this time")
        parser.add_argument("--fail-first", type=int, default=0)
        parser.add_argument("--try", type=int, default=1, help="the try that succeeds; the others have no effect")
        parser.add_argument("--wait", type=float, default=0.0, help="the time before the effect")
        parser.add_argument("--text", default="", help="the only output")

    def handle(self, *args: object, **options: Any) -> None:
        name = options["name"]
        if options["try"] > 1:
            Effect._default_manager.create(name=f"try of {name}")
            if Effect._default_manager.filter(name=f"try of {name}").count() < options["try"]:
                raise CommandError("not yet")
        time.sleep(options["wait"])
        Effect._default_manager.create(name=name)
        self.stdout.write(options["text"] or f"added {name}")
        is_first = Effect._default_manager.filter(name=name).count() == 1
        deadline = time.monotonic() + ((is_first and options["first_seconds"]) or options["seconds"])
        while time.monotonic() < deadline and not Effect._default_manager.filter(name=options["until"]).exists():
            time.sleep(0.05)
        if Effect._default_manager.filter(name=name).count() <= options["fail_first"]:
            raise CommandError("not yet", returncode=9)
