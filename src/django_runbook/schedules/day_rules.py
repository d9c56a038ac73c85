"""Divides the days of a cron expression into rules that each need everything they name."""

from __future__ import annotations

from collections.abc import Iterator

from django_runbook.document.cron import LONGEST_MONTHS, Cron
from django_runbook.structs import Struct


class DayRule(Struct):
    """Names the dates of these months that are one of these days and one of these weekdays; None means all."""

    months: tuple[int, ...] | None = None
    days: tuple[int, ...] | None = None
    weekdays: tuple[int, ...] | None = None

    @property
    def has_dates(self) -> bool:
        """Return whether one of the months is long enough for one of the days."""
        months = self.months or range(1, 13)
        return self.days is None or min(self.days) <= max(LONGEST_MONTHS[month - 1] for month in months)


def day_rules(cron: Cron) -> tuple[DayRule, ...]:
    """Return the rules of an expression, each with dates; a date counts if it follows one of them."""
    months = cron.months if len(cron.months) < 12 else None
    days = None if cron.names_all_days else cron.days
    weekdays = None if cron.names_all_weekdays else cron.weekdays
    if cron.needs_both_days:
        return (DayRule(months=months, days=days, weekdays=weekdays),)
    if days is None or weekdays is None:
        # Either of two is enough, and one of them is every day.
        return (DayRule(months=months),)
    rules = (DayRule(months=months, days=days), DayRule(months=months, weekdays=weekdays))
    return tuple(rule for rule in rules if rule.has_dates)


def common_rules(rules: tuple[DayRule, ...], other: DayRule) -> Iterator[DayRule]:
    """Yield rules for the dates that follow one of the rules and the other one too."""
    for rule in rules:
        months, days, weekdays = (
            _common(rule.months, other.months),
            _common(rule.days, other.days),
            _common(rule.weekdays, other.weekdays),
        )
        if () not in {months, days, weekdays}:
            yield DayRule(months=months, days=days, weekdays=weekdays)


def _common(one: tuple[int, ...] | None, other: tuple[int, ...] | None) -> tuple[int, ...] | None:
    if one is None or other is None:
        return other if one is None else one
    return tuple(sorted({*one} & {*other}))
