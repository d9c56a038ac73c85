"""Describes a runbook to those who run it: its purpose, its parameters, its variables and its schedule."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from typing import Any

from django_runbook.cleaning import cleaned_line
from django_runbook.document.runbook import Param, Runbook, Schedule
from django_runbook.document.written_values import written
from django_runbook.wording import exact_duration


def as_dict(runbook: Runbook, *, now: datetime.datetime) -> dict[str, Any]:
    """Return the description as values of JSON."""
    return {
        "file": runbook.path,
        "name": runbook.name,
        "description": runbook.description,
        "params": [
            {
                "name": param.name,
                "type": param.type,
                "required": param.default is None,
                "default": None if param.default is None else written(param.default),
                "choices": [str(choice) for choice in param.choices],
                "help": param.help,
            }
            for param in runbook.params
        ],
        "env": [{"name": one.name, "required": one.default is None, "default": one.default} for one in runbook.env],
        "secrets": list(runbook.secrets),
        "schedule": None if runbook.schedule is None else _schedule_dict(runbook.schedule, now),
    }


def as_lines(runbook: Runbook, *, now: datetime.datetime) -> Iterator[str]:
    """Yield the description as lines for a terminal."""
    yield cleaned_line(f"{runbook.name} ({runbook.path})")
    for line in runbook.description.splitlines():
        yield f"  {cleaned_line(line)}".rstrip()
    rows = [(param.name, _param_text(param), param.help) for param in runbook.params]
    yield from _section("params", rows)
    yield from _section("env", [(one.name, _default_text(one.default), "") for one in runbook.env])
    yield from _section("secrets", [(name, "", "") for name in runbook.secrets])
    if runbook.timeout_seconds is not None:
        yield f"timeout: {exact_duration(runbook.timeout_seconds)}"
    if runbook.schedule is not None:
        yield f"schedule: {schedule_text(runbook.schedule, now)}"


def schedule_text(schedule: Schedule, now: datetime.datetime) -> str:
    """Return a schedule with the time when it is due next."""
    # Only a runbook with a schedule needs it.
    from django_runbook.schedules.times import next_due, zone_of

    due = next_due(schedule, after=now)
    parts = [
        f"{schedule.cron.text} {zone_of(schedule)}",
        *([f"jitter {exact_duration(schedule.jitter_seconds)}"] if schedule.jitter_seconds else []),
        *(["catch_up"] if schedule.catch_up else []),
        f"next due {due:%Y-%m-%d %H:%M %Z}" if due else "never due",
    ]
    return ", ".join(parts)


def _schedule_dict(schedule: Schedule, now: datetime.datetime) -> dict[str, Any]:
    from django_runbook.schedules.times import next_due, zone_of

    due = next_due(schedule, after=now)
    return {
        "cron": schedule.cron.text,
        "timezone": str(zone_of(schedule)),
        "jitter_seconds": schedule.jitter_seconds,
        "catch_up": schedule.catch_up,
        "next_due": None if due is None else due.isoformat(),
    }


def _section(title: str, rows: list[tuple[str, str, str]]) -> Iterator[str]:
    if rows:
        yield f"{title}:"
    names = max((len(name) for name, _, _ in rows), default=0)
    texts = max((len(text) for _, text, _ in rows), default=0)
    for name, text, help_text in rows:
        yield cleaned_line(f"  {name:{names}}  {text:{texts}}  {help_text}").rstrip()


def _param_text(param: Param) -> str:
    default = None if param.default is None else written(param.default)
    choices = f": {', '.join(map(str, param.choices))}" if param.choices else ""
    return f"{param.type}, {'optional' if param.is_nullable else _default_text(default)}{choices}"


def _default_text(default: str | None) -> str:
    # An empty default would look as if it were missing.
    return "required" if default is None else f"default {default}" if default else 'default ""'
