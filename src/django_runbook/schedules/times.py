"""Computes when a schedule is due, through the changes of clocks in its time zone."""

from __future__ import annotations

import contextlib
import datetime
import heapq
import zoneinfo
from collections.abc import Iterator
from typing import Final

from cronsim import CronSim
from django.utils import timezone

from django_runbook.document.cron import Cron
from django_runbook.document.runbook import Schedule

# Longer than any change of clocks: a start in a repeated hour has the time of its first occurrence.
_MARGIN: Final = datetime.timedelta(hours=3)
# Each is tried until one contains a start; the last one contains each 29th of February that is a given day of the week.
_WINDOWS: Final = tuple(datetime.timedelta(days=days) for days in (0, 1, 8, 63, 800, 4_000, 15_000))


def zone_of(schedule: Schedule) -> datetime.tzinfo:
    """Return the time zone of a schedule: its own, or that of the project."""
    if schedule.timezone is None:
        return timezone.get_default_timezone()
    return zoneinfo.ZoneInfo(schedule.timezone)


def due_times(schedule: Schedule, *, after: datetime.datetime) -> Iterator[datetime.datetime]:
    """Yield each time after ``after`` at which the schedule is due, in its time zone; jitter is not included."""
    zone = zone_of(schedule)
    start = (after - _MARGIN).astimezone(zone).replace(tzinfo=None)
    latest = after.astimezone(datetime.UTC)
    # Repeated times come twice, and the second ones after all of the first.
    waiting: list[datetime.datetime] = []
    for wall in _wall_times(schedule.cron, start):
        found = sorted(one.astimezone(datetime.UTC) for one in _moments(wall, zone, schedule.cron))
        while waiting and (not found or waiting[0] <= found[0]):
            due = heapq.heappop(waiting)
            # Two times that a change of clocks skips have the same end of the gap.
            if due > latest:
                latest = due
                yield due.astimezone(zone)
        for one in found:
            heapq.heappush(waiting, one)
    yield from (due.astimezone(zone) for due in sorted({*waiting}) if due > latest)


def _wall_times(cron: Cron, start: datetime.datetime) -> Iterator[datetime.datetime]:
    """Yield the times of a clock that never changes: cronsim misses some where it changes by half an hour."""
    with contextlib.suppress(OverflowError):
        # The calendar ends with the year 9999.
        yield from CronSim(_numbers_only(cron), start)


def _moments(wall: datetime.datetime, zone: datetime.tzinfo, cron: Cron) -> list[datetime.datetime]:
    """Return when a local clock shows this time: never in a gap, twice in a repeated hour; else as cron decides."""
    moment = wall.replace(tzinfo=zone)
    if not _exists(moment):
        if cron.is_every_minute_or_hour:
            return []
        while not _exists(moment):
            moment += datetime.timedelta(minutes=1)
        return [moment]
    again = moment.replace(fold=1)
    if cron.is_every_minute_or_hour and again.utcoffset() != moment.utcoffset():
        return [moment, again]
    return [moment]


def _exists(moment: datetime.datetime) -> bool:
    return moment.astimezone(datetime.UTC).astimezone(moment.tzinfo).replace(tzinfo=None) == moment.replace(tzinfo=None)


def _numbers_only(cron: Cron) -> str:
    """Return the expression without ranges: cronsim reads some in another way, such as 0-0/10."""
    numbers = (cron.minutes, cron.hours, cron.days, cron.months, cron.weekdays)
    parts = []
    for text, several in zip(cron.fields, numbers, strict=True):
        listed = ",".join(map(str, several))
        # The star has a meaning of its own.
        first = text.partition(",")[0]
        parts.append(f"{first},{listed}" if first.startswith("*") and first != "*" else "*" if first == "*" else listed)
    return " ".join(parts)


def next_due(schedule: Schedule, *, after: datetime.datetime) -> datetime.datetime | None:
    """Return the first time after ``after`` at which the schedule is due; None if no such time is near."""
    return next(due_times(schedule, after=after), None)


def previous_due(schedule: Schedule, *, before: datetime.datetime) -> datetime.datetime | None:
    """Return the last time before ``before`` at which the schedule was due; None if there was none for decades."""
    end = before.astimezone(datetime.UTC)
    for window in _WINDOWS:
        latest = None
        for due in due_times(schedule, after=end - window - _MARGIN):
            if due.astimezone(datetime.UTC) >= end:
                break
            latest = due
        if latest is not None:
            return latest
    return None
