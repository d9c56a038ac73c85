"""Writes schedules as services and timers of systemd."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Final

from django_runbook.schedules.clock_changes import changes_of, offset_minutes
from django_runbook.schedules.day_rules import DayRule, common_rules, day_rules
from django_runbook.schedules.job import Installation, Job, command
from django_runbook.schedules.notes import Ability, affected_times, notes_on

_WEEKDAYS: Final = ("Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat")
_TIMER_ABILITY: Final = Ability(repeated_real="{times} is due once")
_IRREGULAR: Final = Ability(skipped_fixed="{times} is left out", repeated_real="{times} is due once")
_SERVICE_ABILITY: Final = Ability(
    overlap=('if another run holds the lock, exit code 75 makes the unit fail; "lock: {on_conflict: skip}" makes it 0')
)
_SERVICE: Final = """\
[Unit]
Description={title}
After=network-online.target
Wants=network-online.target
{on_failure}
[Service]
Type=oneshot
{user}{directory}{env_file}ExecStart={command}
KillMode=mixed
TimeoutStopSec={stop_seconds}
"""
_TIMER: Final = """\
[Unit]
Description=Start {title}

[Timer]
{calendar}
AccuracySec=1s
{jitter}{persistent}
[Install]
WantedBy=timers.target
"""


def render(jobs: Sequence[Job], place: Installation) -> dict[str, str]:
    """Return a service and a timer for each job."""
    return {name: text for job in jobs for name, text in _units(job, place)}


def _units(job: Job, place: Installation) -> Iterator[tuple[str, str]]:
    yield (
        f"{job.name}.service",
        _comments(job, _SERVICE_ABILITY)
        + _SERVICE.format(
            title=_title(job),
            # Its %n is the name of the unit that failed.
            on_failure="" if place.on_failure is None else f"OnFailure={place.on_failure}\n",
            user=_line("User", place.user),
            directory=_line("WorkingDirectory", place.directory),
            env_file=_line("EnvironmentFile", place.env_file),
            command=" ".join(map(_word, command(job, place))),
            stop_seconds=job.stop_seconds,
        ),
    )
    has_rules = all(change.days is not None for change in changes_of(job.zone))
    schedule = job.schedule
    calendar = _calendar(job)
    yield (
        f"{job.name}.timer",
        _comments(job, Ability() if calendar[0].endswith(" UTC") else _TIMER_ABILITY if has_rules else _IRREGULAR)
        + _TIMER.format(
            title=_title(job),
            calendar="\n".join(f"OnCalendar={one}" for one in calendar),
            jitter=f"RandomizedDelaySec={_seconds(schedule.jitter_seconds)}\n" if schedule.jitter_seconds else "",
            persistent="Persistent=true\n" if schedule.catch_up else "",
        ),
    )


def _comments(job: Job, ability: Ability) -> str:
    return "".join(f"# {note}\n" for note in notes_on(job, ability))


def _calendar(job: Job) -> list[str]:
    """Return the lines of OnCalendar: systemd starts once if several of them name the same time."""
    cron = job.schedule.cron
    rules = day_rules(cron)
    if cron.is_every_minute_or_hour and (minutes := _minutes_in_utc(job)) is not None:
        # systemd leaves the repeated hour out; UTC has none.
        return [f"*-*-* *:{_numbers(minutes, 0, 59)}:00 UTC"]
    clock = f"{_numbers(cron.hours, 0, 23)}:{_numbers(cron.minutes, 0, 59)}:00 {job.timezone}"
    lines = [f"{_date(rule)} {clock}" for rule in rules]
    for change in changes_of(job.zone):
        if (
            change.is_gap
            and change.days is not None
            and not cron.is_every_minute_or_hour
            and affected_times(job, change)
        ):
            # systemd leaves a skipped time out; cron starts when the clocks have changed.
            clock = f"{change.end // 60:02}:{change.end % 60:02}:00 {job.timezone}"
            lines += [f"{_date(rule)} {clock}" for rule in common_rules(rules, change.days)]
    return lines


def _minutes_in_utc(job: Job) -> tuple[int, ...] | None:
    """Return the minutes of every hour in UTC; None if the schedule does not start in every hour of each day."""
    cron = job.schedule.cron
    if day_rules(cron) != (DayRule(),) or len(cron.hours) < 24:
        return None
    offsets = offset_minutes(job.zone)
    found = {tuple(sorted((minute - offset) % 60 for minute in cron.minutes)) for offset in offsets}
    return found.pop() if len(found) == 1 else None


def _date(rule: DayRule) -> str:
    weekdays = "" if rule.weekdays is None else f"{','.join(_WEEKDAYS[day] for day in rule.weekdays)} "
    # systemd 252 finds no next time for a step of months if the months have different offsets from UTC.
    months = "*" if rule.months is None else ",".join(_runs(rule.months))
    days = "*" if rule.days is None else ",".join(_runs(rule.days))
    return f"{weekdays}*-{months}-{days}"


def _numbers(numbers: Sequence[int], first: int, last: int) -> str:
    """Write numbers shortly: all of them as a star, equal steps to the end as one, and runs as ranges."""
    if len(numbers) == last - first + 1:
        return "*"
    steps = {after - before for before, after in itertools.pairwise(numbers)}
    if len(numbers) > 2 and len(steps) == 1 and (step := min(steps)) > 1 and numbers[-1] + step > last:
        return f"{numbers[0]:02}/{step}"
    return ",".join(_runs(numbers))


def _runs(numbers: Sequence[int]) -> Iterator[str]:
    start = before = numbers[0]
    for number in (*numbers[1:], -1):
        if number != before + 1:
            yield f"{start:02}" if start == before else f"{start:02}{',' if before == start + 1 else '..'}{before:02}"
            start = number
        before = number


def _seconds(seconds: float) -> str:
    # systemd knows no exponents.
    return f"{seconds:.6f}".rstrip("0").rstrip(".")


def _line(key: str, value: str | None) -> str:
    return "" if value is None else f"{key}={_plain(value)}\n"


def _title(job: Job) -> str:
    # A backslash at its end would continue the line.
    return _plain(job.title.rstrip("\\"))


def _plain(text: str) -> str:
    return text.replace("%", "%%")


def _word(text: str) -> str:
    """Quote a word of a command line: systemd expands % and $ in it, and knows C escapes."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"' if not escaped or any(letter in escaped for letter in " \t'\";\\") else escaped
