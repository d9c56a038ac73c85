"""Makes schedules for the tests of their times and of their files."""

from __future__ import annotations

from django_runbook.document.cron import parse_cron
from django_runbook.document.diagnostics import Span
from django_runbook.document.runbook import Schedule


def schedule(cron: str, timezone: str | None = None, *, jitter: float = 0, catch_up: bool = False) -> Schedule:
    parsed, problems = parse_cron(cron)
    assert parsed is not None, problems
    return Schedule(cron=parsed, timezone=timezone, jitter_seconds=jitter, catch_up=catch_up, span=Span(1, 1, 1, 9))
