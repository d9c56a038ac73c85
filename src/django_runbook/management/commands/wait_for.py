"""Waits until databases, caches and migrations are available, as the first step of a deployment."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any, ClassVar

from django.core.management.base import CommandError, CommandParser

from django_runbook.batch.parts import option_values
from django_runbook.batch.parts.graceful_command import GracefulCommand
from django_runbook.management import wait_targets
from django_runbook.management.clean_command import CleanCommand
from django_runbook.management.wait_targets import Target


class Command(CleanCommand, GracefulCommand):
    help = (
        "Wait until all targets are available: database [ALIAS …], cache [ALIAS …], migrations [ALIAS …]. "
        "After the timeout, report the missing ones and exit with 1."
    )
    # A system check may need the database that is waited for.
    requires_system_checks: ClassVar[list[str]] = []  # type: ignore[misc]  # Django's stubs have it on the instance

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "targets",
            nargs="+",
            type=wait_targets.parse_word,
            metavar="TARGET",
            help="Wait for TARGET: a kind, which aliases may follow. Example: database cache.",
        )
        parser.add_argument(
            "--timeout",
            type=option_values.duration,
            default="60s",
            metavar="DURATION",
            help="Wait for at most DURATION in total. Default: %(default)s.",
        )
        parser.add_argument(
            "--interval",
            type=option_values.positive_duration,
            default="1s",
            metavar="DURATION",
            help="Wait DURATION between two checks. Default: %(default)s.",
        )
        parser.add_argument(
            "--dry-run", action="store_true", help="Check once and report which targets would be waited for."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        wanted = wait_targets.parse_targets(options["targets"])
        if options["dry_run"]:
            for target in wanted:
                self._report(target, target.missing(within_seconds=options["timeout"]))
            return
        missing = self._wait_for(wanted, options["timeout"], options["interval"])
        if missing and not self.stopping:
            lines = [f"  {target}: {reason}" for target, reason in missing.items()]
            raise CommandError("\n".join([f"timed out after {options['timeout']:g}s waiting for:", *lines]))

    def _wait_for(self, wanted: list[Target], timeout: float, interval: float) -> dict[Target, str]:
        end = time.monotonic() + timeout
        missing = self._check(wanted, timeout)
        for target, reason in missing.items():
            self._report(target, reason)
        while missing and (remaining := end - time.monotonic()) > 0 and not self.wait(min(interval, remaining)):
            missing = self._check(missing, remaining)
        return missing

    def _check(self, wanted: Iterable[Target], within_seconds: float) -> dict[Target, str]:
        missing = {}
        for target in wanted:
            if reason := target.missing(within_seconds=within_seconds):
                missing[target] = reason
            else:
                self._report(target, "")
        return missing

    def _report(self, target: Target, reason: str) -> None:
        self.stdout.write(f"{target} is not available yet: {reason}" if reason else f"{target} is available")
