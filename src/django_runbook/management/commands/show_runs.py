"""Shows runs, their status and their output: ``manage.py show_runs``."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from django.core.management.base import CommandError, CommandParser
from django.db import Error

from django_runbook import conf
from django_runbook.cleaning import cleaned_line
from django_runbook.exceptions import RunbookError
from django_runbook.journal import liveness, unreadable
from django_runbook.journal.reading import row_text
from django_runbook.journal.reading.following import Follower
from django_runbook.journal.reading.run_search import find_run
from django_runbook.locks import factory as locks
from django_runbook.management.clean_command import CleanCommand
from django_runbook.models import RUNNING, UNFINISHED, Run, StepRun
from django_runbook.models.fields import to_db_text
from django_runbook.pages import formatting
from django_runbook.results import RunStatus

NEWEST: Final = ""
# Every database accepts this limit.
_MOST: Final = 10**9


class Command(CleanCommand):
    help = "List recorded runs, newest first; show a run, or the output of a step; follow or export a run."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "runbook", nargs="?", metavar="RUNBOOK", help="Show only runs of RUNBOOK, a name or a file."
        )
        parser.add_argument("--run", metavar="ID", help="Show this run and its steps (a unique ID prefix is enough).")
        parser.add_argument("--step", metavar="ID", help="With --run: show the output of the step ID.")
        parser.add_argument(
            "--follow",
            nargs="?",
            const=NEWEST,
            metavar="RUN",
            help="Follow RUN until it ends, and end with its exit code; without RUN the newest one that is running.",
        )
        parser.add_argument(
            "--bundle", metavar="RUN", help="Write the files, steps, outputs and errors of RUN into one archive."
        )
        parser.add_argument(
            "--output", metavar="FILE", help="With --bundle: write the new file FILE. Default: run-ID.tar.gz."
        )
        parser.add_argument(
            "--stats", action="store_true", help="Show how the durations of RUNBOOK and its steps have moved."
        )
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
        for problem in _contradictions(options):
            raise CommandError(problem, returncode=2)
        self._is_json = options["format"] == "json"
        try:
            self._new_lock = locks.new_factory(conf.read(), what="show_runs")
            if options["bundle"] is not None:
                self._bundle(find_run(options["bundle"], using=conf.journal_alias()), options["output"])
            elif options["follow"] is not None:
                self._follow(self._run_to_follow(options["follow"], options["runbook"]))
            elif options["stats"]:
                self._show_statistics(options["runbook"])
            elif options["run"] is None:
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

    def _show_statistics(self, name: str) -> None:
        # The other ways to show runs do not need it.
        from django_runbook.forecasts.statistics import read_statistics, text_lines

        using = conf.journal_alias()
        newest = (
            Run.objects.using(using).named(to_db_text(name)).newest_first().values_list("runbook", flat=True).first()
        )
        if newest is None:
            self.stdout.write("no runs found")
            return
        found = read_statistics(newest, using=using)
        if found.history.notice:
            self.stderr.write(cleaned_line(found.history.notice))
        tables = list(text_lines(found))
        if self._is_json:
            names = ("weeks", "steps")
            rows = [[dict(zip(head, row, strict=True)) for row in rows] for head, *rows in tables]
            self._write_json({"runbook": newest, **dict(zip(names, rows, strict=True))})
            return
        texts = ["\n".join(row_text.aligned(head, rows)) for head, *rows in tables if rows]
        self.stdout.write("\n\n".join(texts))

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
                "\n".join(
                    (
                        row_text.step_line(step).strip(),
                        *row_text.row_note_lines(step),
                        *row_text.output_lines(step, has_traceback=True),
                    )
                )
            )

    def _run_to_follow(self, prefix: str, runbook: str | None) -> Run:
        if prefix != NEWEST:
            return find_run(prefix, using=conf.journal_alias())
        runs = Run.objects.using(conf.journal_alias()).newest_first()
        if runbook is not None:
            runs = runs.named(to_db_text(runbook))
        found = liveness.with_displayed_status(runs, RUNNING, self._new_lock).first()
        if found is None:
            raise CommandError("no run is running", returncode=2)
        return found

    def _follow(self, run: Run) -> None:
        follower = Follower(run, new_lock=self._new_lock, using=conf.journal_alias(), on_wait=self._report_wait)
        try:
            for line in follower.lines(time.sleep):
                self.stdout.write(line)
                self.stdout.flush()
        except KeyboardInterrupt:
            raise CommandError("stopped following; the run continues", returncode=130) from None
        except Run.DoesNotExist:
            raise CommandError("the run was deleted", returncode=1) from None
        if follower.run.status == RUNNING:
            hint = formatting.resume_line(follower.run)
            raise CommandError(f"the process of the run has died; resume with: {hint}", returncode=1)
        if follower.run.exit_code:
            raise CommandError(f"the run ended as {follower.run.status}", returncode=follower.run.exit_code)

    def _report_wait(self, reason: str) -> None:
        self.stderr.write(cleaned_line(f"the history cannot be read; waiting for it: {reason}"))

    def _bundle(self, run: Run, output: str | None) -> None:
        # Only a bundle reads runbooks.
        from django_runbook.management import run_bundle, run_files

        status = liveness.displayed_status(run, liveness.process_state_of(run, self._new_lock))
        files = run_files.files_of_run(run, conf.read())
        path = run_bundle.default_path(run) if output is None else Path(output)
        run_bundle.RunBundle(run=run, status=status, files=files, using=conf.journal_alias()).write(path)
        self.stdout.write(f"wrote {path}")

    def _write_json(self, value: object) -> None:
        self.stdout.write(json.dumps(value, indent=2))


def _contradictions(options: dict[str, Any]) -> Iterator[str]:
    if options["step"] and not options["run"]:
        yield "--step needs --run"
    if options["output"] is not None and options["bundle"] is None:
        yield "--output needs --bundle"
    if options["stats"] and options["runbook"] is None:
        yield "--stats needs RUNBOOK"
    given = [f"--{name}" for name in ("run", "follow", "bundle") if options[name] is not None]
    given += ["--stats"] if options["stats"] else []
    if len(given) > 1:
        yield f"{given[0]} cannot be combined with {given[1]}"
    if options["format"] == "json" and given and given[0] not in {"--run", "--stats"}:
        yield f"{given[0]} cannot be combined with --format json"
    if not 0 <= options["limit"] <= _MOST:
        yield f"--limit must be between 0 and {_MOST:,}"
