"""Lists the runbooks of the project, with their parameters, schedules and last results."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Any

from django.core.management.base import CommandError
from django.db import Error

from django_runbook import checking, clock, conf, describing, lookup
from django_runbook.checking import Loaded
from django_runbook.cleaning import cleaned_line
from django_runbook.conf import Configuration
from django_runbook.document.diagnostics import has_errors
from django_runbook.document.formats import render
from django_runbook.exceptions import RunbookError
from django_runbook.journal import liveness, unreadable
from django_runbook.journal.reading.row_text import started_text
from django_runbook.locks import factory as locks
from django_runbook.management.clean_command import CleanCommand
from django_runbook.models import Run
from django_runbook.results import ExitCode

# The newest run of a runbook, and the status to display.
LastRun = tuple[Run, str]


class Command(CleanCommand):
    help = "List the runbooks of the project, with their parameters, schedules and last results."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--format", choices=("text", "json"), default="text", help="Default: text.")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            configuration = conf.read()
            loaded = _load_all(configuration)
            last_runs = self._last_runs(list(loaded), configuration)
        except RunbookError as error:
            raise CommandError(str(error), returncode=error.exit_code) from error
        if not loaded:
            raise CommandError(lookup.NONE_FOUND, returncode=ExitCode.INVALID)
        if options["format"] == "json":
            found = [_as_dict(one, last_runs.get(key)) for key, one in loaded.items()]
            self.stdout.write(json.dumps(found, indent=2))
            return
        blocks = ["\n".join(_lines(one, last_runs.get(key))) for key, one in loaded.items()]
        self.stdout.write("\n\n".join(blocks))

    def _last_runs(self, keys: Sequence[str], configuration: Configuration) -> Mapping[str, LastRun]:
        """Return the newest run of each runbook; the list is complete without a database."""
        alias = conf.journal_alias()
        try:
            runs = {key: Run.objects.using(alias).of(key).newest_first().first() for key in keys}
            found = {key: run for key, run in runs.items() if run is not None}
            states = liveness.process_states_of(
                list(found.values()), locks.new_factory(configuration, what="list_runbooks")
            )
        except Error as error:
            self.stderr.write(f"{unreadable.CANNOT_BE_READ}{unreadable.reason(error, using=alias)}")
            return {}
        return {key: (run, liveness.displayed_status(run, states[run.pk])) for key, run in found.items()}


def _load_all(configuration: Configuration) -> dict[str, Loaded]:
    return {
        lookup.key_of(path, configuration): checking.load(path, name=lookup.label(path), configuration=configuration)
        for path in lookup.find_all(configuration)
    }


def _as_dict(loaded: Loaded, last: LastRun | None) -> dict[str, Any]:
    described = {"file": loaded.path} if loaded.runbook is None else describing.as_dict(loaded.runbook, now=clock.now())
    return {
        **described,
        "is_valid": not has_errors(loaded.diagnostics),
        "last_run": None
        if last is None
        else {
            "id": last[0].pk,
            "status": last[1],
            "exit_code": last[0].exit_code,
            "started_at": last[0].started_at.isoformat(),
            "finished_at": None if last[0].finished_at is None else last[0].finished_at.isoformat(),
        },
    }


def _lines(loaded: Loaded, last: LastRun | None) -> Iterator[str]:
    runbook = loaded.runbook
    if runbook is None or has_errors(loaded.diagnostics):
        yield cleaned_line(loaded.path)
        yield f"  {render.count(loaded.diagnostics)}: see check_runbooks"
    else:
        name = "" if runbook.name == PurePath(runbook.path).stem else f": {runbook.name}"
        yield cleaned_line(f"{loaded.path}{name}")
        for line in runbook.description.splitlines():
            yield f"  {cleaned_line(line)}".rstrip()
        if runbook.params:
            words = (f"{param.name} (required)" if param.default is None else param.name for param in runbook.params)
            yield f"  params    {', '.join(words)}"
        if runbook.schedule is not None:
            yield f"  schedule  {describing.schedule_text(runbook.schedule, clock.now())}"
    if last is not None:
        yield f"  last run  {last[1]}, {started_text(last[0])}"
