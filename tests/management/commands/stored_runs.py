"""Stores runs for the tests of commands."""

from __future__ import annotations

import datetime
import io
import uuid
from typing import Any

from django.core.management import call_command
from django.utils import timezone

from django_runbook import conf
from django_runbook.locks import factory
from django_runbook.models import Run, StepRun

FAILING = """\
name: Nightly
params: {day: monday}
steps:
  - {id: one, command: say hello}
  - {id: group, steps: [{id: two, command: fail --kind error}]}
  - {id: three, command: noop}
"""


def made(runbook: str, *, days: int, **columns: Any) -> Run:
    at = timezone.now() - datetime.timedelta(days=days)
    values = {
        "id": uuid.uuid4().hex,
        "status": "succeeded",
        "pid": 1,
        "host": "here",
        "owner": "x",
        "started_at": at,
        "now": at.isoformat(),
        "lock_backend": factory.new_factory(conf.read(), what="").identity,
    }
    row = Run.objects.create(runbook=runbook, name=runbook, **{**values, **columns})
    StepRun.objects.create(run=row, step_id="one", name="one", role="step", kind="command", status="succeeded")
    return row


def show(*words: str) -> str:
    out = io.StringIO()
    call_command("show_runs", *words, stdout=out)
    return out.getvalue()
