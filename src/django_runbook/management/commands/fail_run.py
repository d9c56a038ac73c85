"""Fails a step with a message and an exit code, for conditions that no command reports."""

from __future__ import annotations

import re
from argparse import ArgumentTypeError
from typing import Any, ClassVar, Final

from django.core.management.base import CommandError, CommandParser

from django_runbook.batch.parts.option_values import option_value
from django_runbook.management.clean_command import CleanCommand

# From 124 on, other programs report with their exit codes: timeout, the shell, and a death by signal.
MAX_EXIT_CODE: Final = 123


class Command(CleanCommand):
    help = "Fail with a message: the step that calls this command fails, and so does the run unless the step may fail."
    # The failure is that of the message, not that of a check.
    requires_system_checks: ClassVar[list[str]] = []  # type: ignore[misc]  # Django's stubs have it on the instance

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("message", metavar="MESSAGE", type=_message, help="Report MESSAGE as the failure.")
        parser.add_argument(
            "--exit-code",
            type=_exit_code,
            default=1,
            metavar="N",
            help=f"Exit with N, from 1 to {MAX_EXIT_CODE}. Default: %(default)s.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        exit_code = option_value(options, "exit_code", _exit_code)
        raise CommandError(options["message"], returncode=1 if exit_code is None else exit_code)


def _message(text: str) -> str:
    if not text.strip():
        raise ArgumentTypeError("the message is empty")
    return text


def _exit_code(text: str) -> int:
    if not (re.fullmatch("[0-9]{1,9}", text) and 1 <= int(text) <= MAX_EXIT_CODE):
        raise ArgumentTypeError(f'"{text}" is not an exit code from 1 to {MAX_EXIT_CODE}')
    return int(text)
