"""Writes schedules as entries of Celery beat."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from django_runbook.schedules.day_rules import DayRule, day_rules
from django_runbook.schedules.job import Installation, Job, Unsupported
from django_runbook.schedules.notes import Ability, notes_on

_ABILITY: Final = Ability(
    jitter="beat starts on the minute, without a delay",
    no_catch_up="beat makes up for one missed start, unless beat_cron_starting_deadline limits how late that may be",
    skipped_fixed="{times} is due late, after the change",
    skipped_real="{times} is due late, after the change",
    moves_by_gap=True,
    repeated_real="{times} is due once",
    overlap='if another run holds the lock, the task fails; "lock: {on_conflict: skip}" makes it succeed',
)
FILE_NAME: Final = "runbook_schedule.py"


def render(jobs: Sequence[Job], place: Installation) -> dict[str, str]:
    """Return one Python module; raise Unsupported if the time zones differ, since beat has one."""
    zones = sorted({job.timezone for job in jobs})
    if len(zones) > 1:
        raise Unsupported(
            f"beat has one time zone, but these schedules have {', '.join(zones)}: render them separately"
        )
    lines = [
        "from celery.schedules import crontab",
        "",
        "# Of the whole application: beat has one time zone.",
        f"CELERY_TIMEZONE = {_text(zones[0])}",
        "CELERY_BEAT_SCHEDULE = {",
        *(f"    {line}" for job in jobs for line in _entries(job, place)),
        "}",
    ]
    return {FILE_NAME: "\n".join(lines) + "\n"}


def _entries(job: Job, place: Installation) -> Iterator[str]:
    yield from (f"# {note}" for note in notes_on(job, _ABILITY))
    rules = list(_separate(day_rules(job.schedule.cron)))
    for number, rule in enumerate(rules, start=1):
        name = job.name if len(rules) == 1 else f"{job.name}-{number}"
        yield f"{_text(name)}: {{"
        yield f'    "task": {_text(place.task or "")},'
        yield f'    "args": [{", ".join(map(_text, (job.argument, *(place.arguments or ()))))}],'
        yield f'    "schedule": crontab({", ".join(_fields(job, rule))}),'
        yield "},"


def _separate(rules: tuple[DayRule, ...]) -> Iterator[DayRule]:
    """Yield rules without a common date: beat starts each entry, also at the same time."""
    first, *others = rules
    yield first
    for rule in others:
        assert first.days is not None
        days = tuple(day for day in range(1, 32) if day not in first.days)
        rest = DayRule(months=rule.months, days=days, weekdays=rule.weekdays)
        # Celery refuses an entry that is never due.
        if rest.has_dates:
            yield rest


def _fields(job: Job, rule: DayRule) -> Iterator[str]:
    cron = job.schedule.cron
    for name, numbers, count in (
        ("minute", cron.minutes, 60),
        ("hour", cron.hours, 24),
        ("day_of_month", rule.days or (), 0),
        ("month_of_year", rule.months or (), 0),
        ("day_of_week", rule.weekdays or (), 0),
    ):
        if numbers and len(numbers) != count:
            yield f"{name}={_text(','.join(map(str, numbers)))}"


def _text(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
