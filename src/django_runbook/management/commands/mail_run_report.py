"""Mails the report of a run: ``manage.py mail_run_report``, a ready-made command for ``on_failure``."""

from __future__ import annotations

import re
from argparse import ArgumentTypeError
from collections.abc import Iterator, Sequence
from email.utils import parseaddr
from typing import Any, Final

from django.core.exceptions import ValidationError
from django.core.mail import EmailMessage
from django.core.management.base import CommandError, CommandParser
from django.core.validators import EmailValidator
from django.db import Error

from django_runbook import conf
from django_runbook.cleaning import cleaned, cleaned_line
from django_runbook.exceptions import InvalidUsage, RunbookError, in_words
from django_runbook.journal import liveness, unreadable
from django_runbook.journal.reading import row_text
from django_runbook.journal.reading.failures import COLUMNS, RecordedFailure, failures_of
from django_runbook.journal.reading.run_search import find_run
from django_runbook.locks import factory as locks
from django_runbook.management.clean_command import CleanCommand
from django_runbook.models import RUNNING, UNFINISHED, Run, StepRun
from django_runbook.pages import formatting
from django_runbook.results import ExitCode
from django_runbook.structs import Struct

_MAX_STEPS: Final = 1000
# A local mailbox, such as cron uses.
_LOCAL: Final = re.compile(r"[A-Za-z0-9._+-]+")
_MAX_FAILURES: Final = 20


class Command(CleanCommand):
    help = "Mail the report of a run, by default the current run of a runbook, otherwise the newest run."
    stealth_options = ("call_key",)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--to",
            action="append",
            required=True,
            type=_address,
            metavar="ADDRESS",
            help="Send the report to ADDRESS; may be repeated.",
        )
        parser.add_argument(
            "--from",
            dest="sender",
            type=_address,
            metavar="ADDRESS",
            help="Send the report from ADDRESS. Default: DEFAULT_FROM_EMAIL.",
        )
        parser.add_argument("--run", metavar="ID", help="Report on this run (a unique ID prefix is enough).")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            run = _requested_run(options["run"], call_key=options.get("call_key") or "")
            report = _report(run)
        except Error as error:
            why = unreadable.reason(error, using=conf.journal_alias())
            raise CommandError(f"{unreadable.CANNOT_BE_READ}{why}") from error
        except RunbookError as error:
            raise CommandError(str(error), returncode=error.exit_code) from error
        message = EmailMessage(
            subject=_subject(report),
            body=cleaned("\n".join(_body(report))),
            from_email=options["sender"],
            to=options["to"],
        )
        what = f"the report of {run.name} to {', '.join(options['to'])}"
        try:
            message.send()
        except Exception as error:  # each mail backend has its own errors
            raise CommandError(f"could not mail {what}: {in_words(error)}") from error
        self.stdout.write(f"mailed {what}")


def _address(text: str) -> str:
    if _LOCAL.fullmatch(text):
        return text
    address = parseaddr(text)[1]
    host = address.rpartition("@")[2]
    # The name of a host in the local network has no dot.
    validate = EmailValidator(allowlist=[host] if host.replace("-", "").isalnum() else None)
    try:
        # The name before the address is not validated, but it must not end a header either.
        validate(address if text.isprintable() else "")
    except ValidationError:
        raise ArgumentTypeError(f'"{text}" is not a valid email address (examples: ops@example.com, root)') from None
    return text


def _requested_run(prefix: str | None, *, call_key: str) -> Run:
    if prefix is not None:
        return find_run(prefix, using=conf.journal_alias())
    # The runner's name for the call starts with the ID of the run.
    run_id = call_key.partition(":")[0]
    runs = Run.objects.using(conf.journal_alias()).newest_first()
    run = runs.filter(pk=run_id).first() if run_id else runs.first()
    if run is None:
        raise InvalidUsage("this run is not recorded" if run_id else "no run to report is recorded")
    return run


class _Report(Struct):
    """Holds the part of a run that goes into the mail: its first steps, and the first failed steps with output.

    ``status`` is the one to display: a run whose process died was interrupted.
    """

    run: Run
    status: str
    steps: list[StepRun]
    step_count: int
    failures: list[RecordedFailure]
    failed: dict[int, StepRun]


def _report(run: Run) -> _Report:
    rows = StepRun.objects.using(conf.journal_alias()).filter(run=run).order_by("pk")
    failures = failures_of(rows.only(*COLUMNS).iterator())
    state = liveness.process_state_of(run, locks.new_factory(conf.read(), what="mail_run_report"))
    return _Report(
        run=run,
        status=liveness.displayed_status(run, state),
        steps=list(rows.defer(*row_text.LONG_COLUMNS)[:_MAX_STEPS]),
        step_count=rows.count(),
        failures=failures,
        failed=rows.in_bulk([failure.key for failure in failures[:_MAX_FAILURES]]),
    )


def _subject(report: _Report) -> str:
    # A name could contain characters that end a header.
    return " ".join(cleaned_line(f"[runbook] {report.run.name}: {_in_short(report)}").split())


def _in_short(report: _Report) -> str:
    """Name the first step that failed the run; otherwise return the status, with the first failure that did not."""
    decisive = [failure for failure in report.failures if failure.fails_run]
    if decisive:
        return _first(decisive)
    status = "timed out" if report.run.exit_code == ExitCode.TIMED_OUT else report.status
    if report.failures:
        return f"{status}, {_first(report.failures)}"
    # The mail itself may be the last step of the run.
    return f"{status}, no failure so far" if status == RUNNING else status


def _first(failures: Sequence[RecordedFailure]) -> str:
    more = f" (and {len(failures) - 1} more)" if len(failures) > 1 else ""
    return f"{failures[0].in_words}{more}"


def _body(report: _Report) -> Iterator[str]:
    run = report.run
    yield from row_text.run_lines(run, report.status, report.steps)
    if report.step_count > len(report.steps):
        yield f"  … and {report.step_count - len(report.steps)} more: show_runs --run {run.pk} shows them"
    for failure in report.failures[:_MAX_FAILURES]:
        yield from ("", f"--- {failure.in_words}", *row_text.output_lines(report.failed[failure.key]))
    if len(report.failures) > _MAX_FAILURES:
        yield from ("", f"--- and {len(report.failures) - _MAX_FAILURES} more")
    if report.status in {RUNNING, *UNFINISHED}:
        yield from ("", f"resume with: {formatting.resume_line(run)}")
