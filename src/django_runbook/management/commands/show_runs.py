"""Shows runs, their status and their output: ``manage.py show_runs``."""

from __future__ import annotations

import json
from typing import Any, Final

from django.core.management.base import CommandError, CommandParser
from django.db import Error

from django_runbook import command_lines, conf
from django_runbook.exceptions import RunbookError
from django_runbook.fields import to_db_text
from django_runbook.journal import liveness, row_text, unreadable
from django_runbook.journal.run_search import find_run
from django_runbook.locks import factory as locks
from django_runbook.management.clean_command import CleanCommand
from django_runbook.models import RUNNING, UNFINISHED, Run, StepRun
from django_runbook.pages import formatting
from django_runbook.results import RunStatus

# Every database accepts this limit.
_MOST: Final = 10**9


class Command(CleanCommand):
    help = "List recorded runs, newest first; show a run with its steps; or show the output of a step."

    def get_version(self) -> str:
        return command_lines.version()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "runbook", nargs="?", metavar="RUNBOOK", help="Show only runs of RUNBOOK, a name or a file."
        )
        parser.add_argument("--run", metavar="ID", help="Show this run and its steps (a unique ID prefix is enough).")
        parser.add_argument("--step", metavar="ID", help="With --run: show the output of the step ID.")
        parser.add_argument(
            "--status",
            choices=[RUNNING, *(status.value for status in RunStatus)],
            help="Show only runs with this status; a run whose process is dead counts as interrupted.",
        )
        parser.add_argument(
            "--limit", type=int, default=20, metavar="N", help="Show at most N runs. Default: %(default)s."
        )
        parser.add_argument(
            "--format", choices=("text", "json"), default="text", help="Choose the output format. Default: text."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["step"] and not options["run"]:
            raise CommandError("--step needs --run", returncode=2)
        if not 0 <= options["limit"] <= _MOST:
            raise CommandError(f"--limit must be between 0 and {_MOST:,}", returncode=2)
        self._is_json = options["format"] == "json"
        try:
            self._new_lock = locks.new_factory(conf.read(), what="show_runs")
            if options["run"] is None:
                self._show_runs(options["runbook"], status=options["status"], limit=options["limit"])
            else:
                self._show_run(options["run"], step_id=options["step"])
        except Error as error:
            why = unreadable.reason(error, using=conf.journal_alias())
            raise CommandError(f"{unreadable.CANNOT_BE_READ}{why}") from error
        except RunbookError as error:
            raise CommandError(str(error), returncode=error.exit_code) from error

    def _show_runs(self, runbook: str | None, *, status: str | None, limit: int) -> None:
        runs = Run.objects.using(conf.journal_alias()).newest_first()
        if runbook is not None:
            runs = runs.named(to_db_text(runbook))
        found = list((liveness.with_displayed_status(runs, status, self._new_lock) if status else runs)[:limit])
        process_states = liveness.process_states_of(found, self._new_lock)
        shown = [(run, liveness.displayed_status(run, process_states[run.pk])) for run in found]
        if self._is_json:
            self._write_json([row_text.as_dict(run, status=status) for run, status in shown])
        elif shown:
            self.stdout.write("\n".join(row_text.table(shown)))
        else:
            self.stdout.write("no runs found")

    def _show_run(self, prefix: str, *, step_id: str | None) -> None:
        run = find_run(prefix, using=conf.journal_alias())
        steps = StepRun.objects.using(conf.journal_alias()).filter(run=run).order_by("pk")
        if step_id is not None:
            return self._show_step(steps.filter(step_id=step_id).last(), step_id)
        status = liveness.displayed_status(run, liveness.process_state_of(run, self._new_lock))
        if self._is_json:
            return self._write_json(
                row_text.as_dict(run, status=status, steps=[row_text.as_dict(step) for step in steps])
            )
        short = steps.defer(*row_text.LONG_COLUMNS)
        for line in row_text.run_lines(run, status, short.iterator()):
            self.stdout.write(line)
        if status in UNFINISHED:
            self.stdout.write(f"\nresume with: {formatting.resume_line(run)}")
        for line in row_text.in_doubt_lines(run, status, short.iterator()):
            self.stdout.write(line)
        return None

    def _show_step(self, step: StepRun | None, step_id: str) -> None:
        if step is None:
            raise CommandError(f"the run has no step {step_id}", returncode=2)
        if self._is_json:
            self._write_json(row_text.as_dict(step))
        else:
            self.stdout.write(
                "\n".join((row_text.step_line(step).strip(), *row_text.output_lines(step, has_traceback=True)))
            )

    def _write_json(self, value: object) -> None:
        self.stdout.write(json.dumps(value, indent=2))
