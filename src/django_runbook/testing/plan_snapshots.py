"""Writes the plan of a runbook in a form that stays the same from day to day, so that a test can compare it."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Final

from django.utils import timezone

from django_runbook import checking, conf, lookup
from django_runbook.document import inputs
from django_runbook.document.diagnostics import has_errors, in_order
from django_runbook.document.formats import render
from django_runbook.planning import listing
from django_runbook.planning.plan import Plan

# Values that depend on the date are those of this moment.
MOMENT: Final = datetime.datetime(2000, 1, 1, 12)  # noqa: DTZ001 - in the time zone of the project


def names_of_runbooks() -> list[tuple[str, Path]]:
    """Return all runbooks of the project, by the path below their folder, which stays the same in all releases."""
    configuration = conf.read()
    return sorted((lookup.key_of(path, configuration), path) for path in lookup.find_all(configuration))


def problems_of(path: Path) -> str:
    """Return the errors of a runbook as ``check_runbooks`` prints them; an empty string without errors."""
    loaded, planned = _planned(path, name=lookup.label(path))
    found = in_order([*loaded.diagnostics, *(() if planned is None else planned.diagnostics)])
    if not has_errors(found):
        return ""
    return render.render_text(found, path=loaded.path, lines=loaded.lines, is_colored=False)


def snapshot_of(path: Path, *, name: str) -> str:
    """Return the plan of a valid runbook; ``name`` is shown as its path."""
    loaded, planned = _planned(path, name=name)
    assert planned is not None, loaded.diagnostics
    return listing.show_plan(planned, {}, mask=str)


def _planned(path: Path, *, name: str) -> tuple[checking.Loaded, Plan | None]:
    configuration = conf.read()
    loaded = checking.load(path, name=name, configuration=configuration)
    runbook = loaded.runbook
    if runbook is None:
        return loaded, None
    names = {"name": runbook.name, "file": runbook.path}
    given = inputs.GivenInputs(now=timezone.make_aware(MOMENT), run=names)
    binder = checking.new_binder(is_recorded=configuration.has_journal and runbook.is_recorded)
    return loaded, checking.plan_with(given, runbook, binder=binder, configuration=configuration)
