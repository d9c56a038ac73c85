"""Waits until databases, caches and migrations are there: what a deployment begins with."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any, ClassVar

from django.core.management.base import CommandError, CommandParser

from django_runbook.batch.parts import option_values as values
from django_runbook.batch.parts.graceful_command import GracefulCommand
from django_runbook.management import wait_targets as targets
from django_runbook.management.output import CleanCommand
from django_runbook.management.wait_targets import Target


class Command(CleanCommand, GracefulCommand):
    help = (
        "Wait until all of the targets are there: database [ALIAS …], cache [ALIAS …], migrations [ALIAS …]. "
        "Ends with 1 and says what is missing when the time is over."
    )
    # A check may ask for the very database that is waited for.
    requires_system_checks: ClassVar[list[str]] = []  # type: ignore[misc]  # Django's stubs have it on the instance

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("targets", nargs="+", type=targets.word, metavar="TARGET", help="As in: database cache.")
        parser.add_argument(
            "--timeout", type=values.duration, default="60s", help="How long to wait in all. Default: %(default)s."
        )
        parser.add_argument(
            "--interval",
            type=values.positive_duration,
            default="1s",
            help="How long to wait between two looks. Default: %(default)s.",
        )
        parser.add_argument("--dry-run", action="store_true", help="Look once, and say what would be waited for.")

    def handle(self, *args: Any, **options: Any) -> None:
        wanted = targets.parse(options["targets"])
        if options["dry_run"]:
            for target in wanted:
                self._tell(target, target.missing(within_seconds=options["timeout"]))
            return
        missing = self._wait_for(wanted, options["timeout"], options["interval"])
        if missing and not self.stopping:
            lines = [f"  {target}: {reason}" for target, reason in missing.items()]
            raise CommandError("\n".join([f"after {options['timeout']:g}s this is missing:", *lines]))

    def _wait_for(self, wanted: list[Target], timeout: float, interval: float) -> dict[Target, str]:
        end = time.monotonic() + timeout
        missing = self._look(wanted, timeout)
        for target, reason in missing.items():
            self._tell(target, reason)
        while missing and (left := end - time.monotonic()) > 0 and not self.wait(min(interval, left)):
            missing = self._look(missing, left)
        return missing

    def _look(self, wanted: Iterable[Target], within_seconds: float) -> dict[Target, str]:
        missing = {}
        for target in wanted:
            if reason := target.missing(within_seconds=within_seconds):
                missing[target] = reason
            else:
                self._tell(target, "")
        return missing

    def _tell(self, target: Target, reason: str) -> None:
        self.stdout.write(f"{target} is not there yet: {reason}" if reason else f"{target} is there")
