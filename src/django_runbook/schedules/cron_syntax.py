"""Writes a schedule in the cron syntax of a scheduler that is not cron."""

from __future__ import annotations

import re
from typing import Final

from django_runbook.document.cron import FIELDS, Cron
from django_runbook.schedules.day_rules import day_rules
from django_runbook.schedules.job import Job, Unsupported

_NAME: Final = re.compile(r"[A-Z]{3}")


def with_numbers(cron: Cron) -> str:
    """Return the expression without names, which some crons know outside of lists only."""
    return " ".join(
        _without_names(text, place.names, place.first) for text, place in zip(cron.fields, FIELDS, strict=True)
    )


def _without_names(text: str, names: tuple[str, ...], first: int) -> str:
    return _NAME.sub(lambda match: str(names.index(match[0]) + first), text)


def portable(job: Job, *, scheduler: str) -> str:
    """Return an expression that means the same to a scheduler whose rules about stars differ; raise Unsupported.

    Kubernetes takes */2 for a restricted field and knows no weekday 7.
    """
    cron = job.schedule.cron
    minute, hour, _, month, _ = cron.fields
    rules = day_rules(cron)
    if len(rules) == 2:
        days, weekdays = cron.fields[2], _weekdays(cron)
    else:
        [rule] = rules
        if rule.days is not None and rule.weekdays is not None:
            raise Unsupported(
                f'{job.file}: {scheduler} cannot express "{cron.text}", in which a date must match the day of month '
                'and the day of week; name one of them, and test the other with "when"'
            )
        days = "*" if rule.days is None else cron.fields[2]
        weekdays = "*" if rule.weekdays is None else _weekdays(cron)
    return f"{minute} {hour} {days} {month} {weekdays}"


def _weekdays(cron: Cron) -> str:
    return ",".join(map(str, cron.weekdays)) if "7" in cron.fields[4] else cron.fields[4]
