"""``manage.py mail_run_report``: mails how a run went; ready-made for ``on_failure``."""

from __future__ import annotations

import os
import socket
from typing import Any

from django.core.mail import EmailMessage
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from django_runbook import recording
from django_runbook.journal import texts
from django_runbook.models import RUNNING, UNFINISHED, Run, StepRun
from django_runbook.pages import words


class Command(BaseCommand):
    help = "Mail the report of a run: inside a runbook of the current one, else of the newest."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--to", action="append", required=True, metavar="ADDRESS", help="May be repeated.")
        parser.add_argument("--from", dest="sender", metavar="ADDRESS", help="Default: DEFAULT_FROM_EMAIL.")
        parser.add_argument("--run", metavar="ID", help="The report of this run.")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            run = _asked(options["run"])
            steps = list(StepRun.objects.using(recording.alias()).filter(run=run).order_by("pk"))
        except DatabaseError as error:
            raise CommandError(f"the journal cannot be read: {error}") from error
        failed = texts.failures(steps)
        message = EmailMessage(
            subject=_subject(run, failed),
            body="\n".join(_body(run, steps, failed)),
            from_email=options["sender"],
            to=options["to"],
        )
        message.send()
        self.stdout.write(f"mailed the report of {run.name} to {', '.join(options['to'])}")


def _asked(asked: str | None) -> Run:
    runs = Run.objects.using(recording.alias()).newest_first()
    if asked is not None:
        run = runs.filter(pk__startswith=asked).first()
    else:
        # The command runs in the process of the run, or in a child of its own, which has another number.
        here = runs.filter(status=RUNNING, host=socket.gethostname()[:255])
        run = here.filter(pid=os.getpid()).first() or here.first() or runs.first()
    if run is None:
        raise CommandError("there is no run to report of: it is not recorded, or its id is another one", returncode=2)
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
