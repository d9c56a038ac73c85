"""Writes the comments about what a scheduler does otherwise than the file says."""

from __future__ import annotations

from collections.abc import Iterator

from django_runbook.schedules.clock_changes import ClockChange, changes_of
from django_runbook.schedules.day_rules import common_rules, day_rules
from django_runbook.schedules.job import Job
from django_runbook.structs import Struct
from django_runbook.wording import exact_duration


class Ability(Struct):
    """Says what a scheduler does; an empty text means that it does what the file says.

    The texts about skipped and repeated times have a place for ``{times}``; they are for schedules with fixed times, or
    for those that count real time. A scheduler that starts skipped times does so at the end of the gap, or, if it
    ``moves_by_gap``, later by its length.
    """

    jitter: str = ""
    catch_up: str = ""
    no_catch_up: str = ""
    skipped_fixed: str = ""
    skipped_real: str = ""
    repeated_fixed: str = ""
    repeated_real: str = ""
    overlap: str = ""
    moves_by_gap: bool = False


def notes_on(job: Job, ability: Ability) -> Iterator[str]:
    """Yield what differs for this job, a sentence each."""
    schedule = job.schedule
    if schedule.jitter_seconds and ability.jitter:
        yield f"jitter {exact_duration(schedule.jitter_seconds)}: {ability.jitter}"
    if schedule.catch_up and ability.catch_up:
        yield f"catch_up: {ability.catch_up}"
    if not schedule.catch_up and ability.no_catch_up:
        yield f"catch_up: {ability.no_catch_up}"
    for change in changes_of(job.zone):
        if (text := _text_about(change, job, ability)) and (times := _noted_times(change, job, ability)):
            shown = [f"{time // 60:02}:{time % 60:02}" for time in times]
            words = shown[0] if len(shown) == 1 else f"each of {shown[0]} to {shown[-1]}"
            yield f"when clocks go {'forward' if change.is_gap else 'back'}, {text.format(times=words)}"
    if job.fails_on_overlap and ability.overlap:
        yield ability.overlap


def affected_times(job: Job, change: ClockChange) -> list[int]:
    """Return the times of the schedule, in minutes, that the change skips or repeats."""
    if change.days is not None and not any(common_rules(day_rules(job.schedule.cron), change.days)):
        return []
    return [time for time in _times(job) if change.start <= time < change.end]


def _text_about(change: ClockChange, job: Job, ability: Ability) -> str:
    if job.schedule.cron.is_every_minute_or_hour:
        return ability.skipped_real if change.is_gap else ability.repeated_real
    return ability.skipped_fixed if change.is_gap else ability.repeated_fixed


def _noted_times(change: ClockChange, job: Job, ability: Ability) -> list[int]:
    times = affected_times(job, change)
    if not change.is_gap or not job.schedule.cron.is_every_minute_or_hour:
        return times
    # A skipped time that is moved to another start of the schedule makes no difference.
    starts = {*_times(job)}
    length = change.end - change.start
    return [time for time in times if (time + length if ability.moves_by_gap else change.end) not in starts]


def _times(job: Job) -> Iterator[int]:
    cron = job.schedule.cron
    return (hour * 60 + minute for hour in cron.hours for minute in cron.minutes)
