"""Provides recorded runs, and runs whose process died."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from django_runbook import conf
from django_runbook.locks.factory import new_factory
from django_runbook.models import RUNNING, Run, StepRun
from tests.runner.support import FinishedRun, run


def resume(directory: Path, text: str | None = None, **options: Any) -> FinishedRun:
    """Resume the newest run of the last runbook, or of this text."""
    return run(directory, text or (directory / "test.yml").read_text(), **{"resume": "", **options})


def die(*step_ids: str) -> Run:
    """Change the rows of the newest run as if its process had been killed in these steps."""
    row = Run.objects.newest_first()[0]
    last = StepRun.objects.filter(run=row, step_id__in=step_ids).order_by("-pk")[0]
    StepRun.objects.filter(run=row, pk__gt=last.pk).delete()
    StepRun.objects.filter(run=row, step_id__in=step_ids).update(status=RUNNING, finished_at=None)
    Run.objects.filter(pk=row.pk).update(status=RUNNING, finished_at=None, exit_code=None)
    row.refresh_from_db()
    lock = new_factory(conf.read(), what="the run that dies")(row.lock_name)
    assert lock.acquire() is None
    lock.release()
    return row


def effects(directory: Path) -> list[str]:
    """Return the names of the effects that began, in order."""
    path = directory / "log"
    lines = path.read_text().splitlines() if path.exists() else []
    return [line.removeprefix("begin ") for line in lines if line.startswith("begin ")]


def row(step_id: str, **more: Any) -> StepRun:
    """Return the latest row of a step."""
    return StepRun.objects.filter(step_id=step_id, **more).order_by("attempt").last() or pytest.fail(step_id)
