"""``manage.py mail_run_report``: mails how a run went; ready-made for ``on_failure``."""

from __future__ import annotations

from argparse import ArgumentTypeError
from email.utils import parseaddr
from typing import Any

from django.core.exceptions import ValidationError
from django.core.mail import EmailMessage
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.validators import EmailValidator
from django.db import DatabaseError

from django_runbook import recording
from django_runbook.exceptions import InvalidUsage, RunbookError
from django_runbook.journal import texts
from django_runbook.models import RUNNING, UNFINISHED, Run, StepRun
from django_runbook.pages import words


class Command(BaseCommand):
    help = "Mail the report of a run: inside a runbook of the current one, else of the newest."
    stealth_options = ("call_key",)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--to", action="append", required=True, type=_address, metavar="ADDRESS", help="May be repeated."
        )
        parser.add_argument(
            "--from", dest="sender", type=_address, metavar="ADDRESS", help="Default: DEFAULT_FROM_EMAIL."
        )
        parser.add_argument("--run", metavar="ID", help="The report of this run; the first characters do.")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            run = _asked(options["run"], call_key=options.get("call_key") or "")
            steps = list(StepRun.objects.using(recording.alias()).filter(run=run).order_by("pk"))
        except DatabaseError as error:
            raise CommandError(f"the journal cannot be read: {error}") from error
        except RunbookError as error:
            raise CommandError(str(error), returncode=error.exit_code) from error
        failed = texts.failures(steps)
        message = EmailMessage(
            subject=_subject(run, failed),
            body="\n".join(_body(run, steps, failed)),
            from_email=options["sender"],
            to=options["to"],
        )
        what = f"the report of {run.name} to {', '.join(options['to'])}"
        try:
            message.send()
        except Exception as error:  # each backend of mail has errors of its own
            reason = f"{type(error).__name__}: {error}".rstrip(": ")
            raise CommandError(f"could not mail {what}: {reason}") from error
        self.stdout.write(f"mailed {what}")


def _address(text: str) -> str:
    address = parseaddr(text)[1]
    host = address.rpartition("@")[2]
    # Of a host in one's own network, the name has no dot.
    validate = EmailValidator(allowlist=[host] if host.replace("-", "").isalnum() else None)
    try:
        # What is left out of the address, as the name before it is, must not end a header either.
        validate(address if text.isprintable() else "")
    except ValidationError:
        raise ArgumentTypeError(f'"{text}" is no address of mail; write it as in ops@example.com') from None
    return text


def _asked(asked: str | None, *, call_key: str) -> Run:
    if asked is not None:
        return recording.find(asked)
    # The runner's name for the call begins with the id of the run.
    run_id = call_key.partition(":")[0]
    runs = Run.objects.using(recording.alias()).newest_first()
    run = runs.filter(pk=run_id).first() if run_id else runs.first()
    if run is None:
        raise InvalidUsage("this run is not recorded" if run_id else "there is no run to report on")
    return run


def _subject(run: Run, failed: list[StepRun]) -> str:
    what = f"{failed[0].step_id} {failed[0].status}" if failed else run.status
    more = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
    # A name could hold what ends a header.
    return " ".join(f"[runbook] {run.name}: {what}{more}".split())


def _body(run: Run, steps: list[StepRun], failed: list[StepRun]) -> list[str]:
    lines = list(texts.run_lines(run, run.status, steps))
    for step in failed:
        lines += ["", f"--- {step.step_id} {step.status}", *texts.output_lines(step)]
    if run.status in {RUNNING, *UNFINISHED}:
        lines += ["", f"To go on: {words.resume_line(run)}"]
    return lines
