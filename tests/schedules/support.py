"""Makes schedules for the tests of their times and of their files."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

from django_runbook.document.cron import parse_cron
from django_runbook.document.diagnostics import Span
from django_runbook.document.runbook import Schedule
from django_runbook.schedules.job import Installation, Job


def schedule(cron: str, timezone: str | None = None, *, jitter: float = 0, catch_up: bool = False) -> Schedule:
    parsed, problems = parse_cron(cron)
    assert parsed is not None, problems
    return Schedule(cron=parsed, timezone=timezone, jitter_seconds=jitter, catch_up=catch_up, span=Span(1, 1, 1, 9))


PLACE = Installation(
    python="/srv/desk/venv/bin/python", manage="manage.py", image="desk:1", task="desk.tasks.run_runbook"
)


def job(cron: str, zone: str, **fields: Any) -> Job:
    """Make a job that catches up, and whose lock needs no note."""
    return Job(
        **{
            "name": "nightly",
            "file": "nightly.yml",
            "title": "Nightly maintenance",
            "schedule": schedule(cron, zone, catch_up=True),
            "timezone": zone,
            "zone": ZoneInfo(zone),
            "timeout_seconds": None,
            "stop_seconds": 30,
            **fields,
        }
    )
