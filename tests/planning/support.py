"""Plans the text of a runbook for the tests of a rule."""

from __future__ import annotations

import datetime

from django_runbook.binding.binder import Binder
from django_runbook.binding.catalog import Catalog
from django_runbook.document.inputs import GivenInputs, resolve
from django_runbook.document.syntax.source import Source
from django_runbook.document.validation.validate import load
from django_runbook.planning.plan import Plan, plan

NOW = datetime.datetime(2013, 1, 1, tzinfo=datetime.UTC)


def plan_of(text: str) -> Plan:
    """Plan the text of a runbook that the rules about the file accept."""
    runbook, problems = load(Source(path="nightly.yml", text=text))
    assert problems == []
    assert runbook is not None
    return plan(runbook, resolve(runbook, GivenInputs(now=NOW, run={"id": "1"})), Binder(catalog=Catalog()))
