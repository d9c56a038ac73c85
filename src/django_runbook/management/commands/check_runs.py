"""Reports runbooks that did not run when they were due: ``manage.py check_runs``."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError
from django.db import Error

from django_runbook import conf
from django_runbook.document.syntax.scalars import parse_duration
from django_runbook.exceptions import RunbookError
from django_runbook.journal import unreadable
from django_runbook.management.clean_command import CleanCommand
from django_runbook.monitoring import formats
from django_runbook.monitoring.checking_runs import check_runs
from django_runbook.monitoring.notifying import notify
from django_runbook.monitoring.states import Limits
from django_runbook.process.django_internals import is_called_from_command_line
from django_runbook.results import ExitCode


class Command(CleanCommand):
    help = "Report runbooks that are late, missing, failing or stuck, by their schedules and the run history."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("files", nargs="*", metavar="FILE", help="A runbook. Default: all that have a schedule.")
        parser.add_argument(
            "--grace",
            default="10m",
            metavar="TIME",
            help="Allow TIME after a due time, in addition to the jitter of the schedule. Default: %(default)s.",
        )
        parser.add_argument(
            "--stuck-after",
            metavar="TIME",
            help="Report a run in which no step has started or ended for TIME. Default: twice its usual time.",
        )
        parser.add_argument(
            "--notify",
            action="store_true",
            help="Notify the reporters of RUNBOOK of what is late, missing, stuck or invalid, each once a day.",
        )
        parser.add_argument(
            "--format", choices=tuple(formats.FORMATS), default="text", help="Choose the output format. Default: text."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        format_ = options["format"]
        stuck = options["stuck_after"]
        limits = Limits(
            grace_seconds=_seconds("--grace", options["grace"]),
            stuck_seconds=None if stuck is None else _seconds("--stuck-after", stuck),
        )
        try:
            states = check_runs(options["files"], limits=limits)
            if options["notify"]:
                notify(states, warn=self.stderr.write)
        except Error as error:
            why = unreadable.reason(error, using=conf.journal_alias())
            return self._fail(f"{unreadable.CANNOT_BE_READ}{why}", ExitCode.FAILED, format_)
        except RunbookError as error:
            return self._fail(str(error), error.exit_code, format_)
        text = formats.FORMATS[format_](states)
        if format_ == "prometheus":
            self.stdout.write_file(f"{text}\n")
        else:
            self.stdout.write(text)
        return self._end(formats.exit_code(states, format_), "runbooks did not run as they should")

    def _fail(self, message: str, exit_code: int, format_: str) -> None:
        if format_ != "nagios":
            raise CommandError(message, returncode=exit_code)
        self.stdout.write(f"RUNBOOKS UNKNOWN - {' '.join(message.split())}")
        self._end(formats.NAGIOS_UNKNOWN, message)

    def _end(self, exit_code: int, message: str) -> None:
        """End with an exit code; a caller gets an exception, only a command line ends the process."""
        if not exit_code:
            return
        if is_called_from_command_line(self):
            sys.exit(exit_code)
        raise CommandError(message, returncode=exit_code)


def _seconds(option: str, text: str) -> float:
    seconds = parse_duration(text)
    if seconds is None:
        raise CommandError(
            f'{option} must be a time such as 90s, 10m or 1h30m, not "{text}"', returncode=ExitCode.INVALID
        )
    return seconds
