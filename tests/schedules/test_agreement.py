"""What each scheduler makes of a rendered schedule, compared with the times of the file through changes of clocks."""

from __future__ import annotations

import datetime
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, Final
from zoneinfo import ZoneInfo

import pytest
import yaml
from celery import Celery
from celery.schedules import crontab as celery_crontab
from cronsim import CronSim

from django_runbook.schedules import celery_beat, crontab, github, kubernetes, systemd
from django_runbook.schedules.job import Job
from django_runbook.schedules.times import due_times
from tests.schedules.support import PLACE, job
from tests.slow_cases import slow_if

UTC: Final = datetime.UTC
COUNT: Final = 10
# Half a day before clocks go forward, and before they go back.
CHANGES: Final = {
    ("Europe/Berlin", "forward"): datetime.datetime(2027, 3, 27, 13, tzinfo=UTC),
    ("Europe/Berlin", "back"): datetime.datetime(2027, 10, 30, 13, tzinfo=UTC),
    ("America/New_York", "forward"): datetime.datetime(2027, 3, 13, 19, tzinfo=UTC),
    ("America/New_York", "back"): datetime.datetime(2027, 11, 6, 18, tzinfo=UTC),
    ("Australia/Lord_Howe", "forward"): datetime.datetime(2027, 10, 2, 3, tzinfo=UTC),
    ("Australia/Lord_Howe", "back"): datetime.datetime(2027, 4, 3, 3, tzinfo=UTC),
}
CRONS: Final = (
    "15 4 * * *",
    "30 2 * * *",
    "15 2 * * *",
    "0 3 * * *",
    "15,45 1-2 * * SUN",
    "30 2 * * MON-FRI",
    "15 2 1-7,25-31 * *",
    "15 2 28 * SUN",
    "0 */6 * * *",
    "0 */2 * * *",
    "*/30 1-2 * * 0",
    "20 * * * 7",
)
# They start so often that ten times are a few hours.
FREQUENT: Final = ("*/30 * * * *", "20 * * * *")
CASES: Final = [(zone, direction, cron) for zone, direction in CHANGES for cron in (*CRONS, *FREQUENT)]

Times = Iterator[datetime.datetime]


def crontab_times(text: str, _: Job, after: datetime.datetime) -> Times:
    """cronie, whose rules cronsim has."""
    zone = re.findall(r"^CRON_TZ=(.+)$", text, re.MULTILINE)
    [line] = [line for line in text.splitlines() if line and line[0] not in "#C"]
    return cron_times(" ".join(line.split()[:5]), zone[0], after)


def cron_times(text: str, zone: str, after: datetime.datetime) -> Times:
    start = (after - datetime.timedelta(hours=3)).astimezone(ZoneInfo(zone))
    seen = after
    for due in (due.astimezone(UTC) for due in CronSim(text, start)):
        if due > seen:
            seen = due
            yield due


def systemd_times(text: str, _: Job, after: datetime.datetime) -> Times:
    found: set[datetime.datetime] = set()
    for line in re.findall(r"^OnCalendar=(.+)$", text, re.MULTILINE):
        call = ["systemd-analyze", "calendar", "--iterations", str(COUNT), "--base-time", f"{after:%F %T} UTC", line]
        shown = subprocess.run(call, capture_output=True, text=True, check=True, env={**os.environ, "TZ": "UTC"}).stdout
        times = re.findall(r"(?:Next elapse|Iter\. #\d+): \w+ ([\d-]+ [\d:]+) UTC", shown)
        assert times, shown
        found |= {datetime.datetime.strptime(f"{time} +0000", "%Y-%m-%d %H:%M:%S %z") for time in times}
    return iter(sorted(found))


def kubernetes_times(text: str, _: Job, after: datetime.datetime) -> Times:
    """The cron of Kubernetes walks through real time, and compares the local clock."""
    spec = yaml.safe_load(text)["spec"]
    zone = ZoneInfo(spec["timeZone"])
    known = CronSim(spec["schedule"], after)
    _, _, days, _, weekdays = spec["schedule"].split()
    # A step ends what a star means for the other day.
    needs_both = days == "*" or weekdays == "*"
    moment = after
    while True:
        # Every minute of these schedules is one of them.
        moment += datetime.timedelta(minutes=5)
        local = moment.astimezone(zone)
        is_day, is_weekday = local.day in known.days, local.isoweekday() % 7 in known.weekdays
        is_date = (is_day and is_weekday) if needs_both else (is_day or is_weekday)
        if is_date and local.month in known.months and local.hour in known.hours and local.minute in known.minutes:
            yield moment


def github_times(text: str, job: Job, after: datetime.datetime) -> Times:
    """GitHub starts a skipped time when the clocks have changed, whatever the schedule; a repeated one is open."""
    [entry] = yaml.safe_load(text)[True]["schedule"]
    fixed = " ".join(",".join(map(str, numbers)) for numbers in (job.schedule.cron.minutes, job.schedule.cron.hours))
    return cron_times(f"{fixed} {' '.join(entry['cron'].split()[2:])}", entry["timezone"], after)


def celery_times(text: str, _: Job, after: datetime.datetime) -> Times:
    names: dict[str, Any] = {}
    exec(text, names)
    # The fixup for Django would make it the default app of the process, which other tests have none of.
    app = Celery("test", set_as_current=False, fixups=[])
    app.conf.timezone = names["CELERY_TIMEZONE"]
    # Beat keeps a time for each entry.
    last = dict.fromkeys(names["CELERY_BEAT_SCHEDULE"], after)
    schedules = {name: entry["schedule"] for name, entry in names["CELERY_BEAT_SCHEDULE"].items()}

    def next_of(name: str) -> datetime.datetime:
        schedule: celery_crontab = schedules[name]
        schedule.app, schedule.nowfun = app, lambda: last[name]
        remaining: datetime.timedelta = schedule.remaining_estimate(last[name])
        return last[name] + remaining

    while True:
        due = {name: next_of(name) for name in last}
        name = min(due, key=lambda name: due[name])
        last[name] = due[name]
        yield due[name]


Render = Callable[..., dict[str, str]]
TARGETS: Final[dict[str, tuple[Render, str, Callable[[str, Job, datetime.datetime], Times]]]] = {
    "crontab": (crontab.render, "runbooks", crontab_times),
    "kubernetes": (kubernetes.render, "nightly.yaml", kubernetes_times),
    "github": (github.render, "nightly.yml", github_times),
    "celery-beat": (celery_beat.render, "runbook_schedule.py", celery_times),
}


# cronsim, which reads the table of cron here, misses starts after a change by half an hour.
READ: Final = [
    (target, *case)
    for target in TARGETS
    for case in CASES
    if target != "crontab" or case[0] != "Australia/Lord_Howe" or "*/" not in case[2]
]


# The changes of one zone are enough for `make test-fast`.
@pytest.mark.parametrize(
    ("target", "zone", "direction", "cron"),
    slow_if(lambda case: case[1] != "Europe/Berlin", READ),
    ids=[" ".join(case) for case in READ],
)
def test_the_next_times_are_those_of_the_file_or_a_comment_says_why_not(
    target: str, zone: str, direction: str, cron: str
) -> None:
    render, name, read = TARGETS[target]
    after, one = start_of(zone, direction, cron), job(cron, zone)
    text = render([one], PLACE)[name]
    if target == "github" and direction == "back":
        # It is not known what GitHub does.
        assert bool(notes_in(text, direction)) is has_repeated(expected_times(one, after), zone)
    else:
        found = list(islice(read(text, one, after), COUNT))
        assert (found == expected_times(one, after)) is (notes_in(text, direction) == [])


@pytest.mark.slow
@pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is missing: apt-get install systemd"
)
@pytest.mark.parametrize(("zone", "direction", "cron"), CASES, ids=[" ".join(case) for case in CASES])
def test_a_timer_starts_at_the_times_of_the_file_or_a_comment_says_why_not(
    zone: str, direction: str, cron: str
) -> None:
    after, one = start_of(zone, direction, cron), job(cron, zone)
    text = systemd.render([one], PLACE)["nightly.timer"]
    found = list(islice(systemd_times(text, one, after), COUNT))
    assert (found == expected_times(one, after)) is (notes_in(text, direction) == [])


@pytest.mark.slow
@pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is missing: apt-get install systemd"
)
@pytest.mark.parametrize("cron", ["0 4 20 */5 *", "*/30 6 */9 */7 *"])
def test_a_timer_of_some_months_starts_in_each_of_them(cron: str) -> None:
    after, one = CHANGES["Europe/Berlin", "back"], job(cron, "Europe/Berlin")
    text = systemd.render([one], PLACE)["nightly.timer"]
    assert list(islice(systemd_times(text, one, after), COUNT)) == expected_times(one, after)


@pytest.mark.parametrize("cron", [*CRONS, *FREQUENT])
@pytest.mark.parametrize(("zone", "direction"), [place for place in CHANGES if place[0] != "Australia/Lord_Howe"])
def test_the_times_of_the_file_are_those_of_cronsim(zone: str, direction: str, cron: str) -> None:
    after = start_of(zone, direction, cron)
    assert list(islice(cron_times(cron, zone, after), COUNT)) == expected_times(job(cron, zone), after)


def start_of(zone: str, direction: str, cron: str) -> datetime.datetime:
    hours = 10.5 if cron in FREQUENT else 0
    return CHANGES[zone, direction] + datetime.timedelta(hours=hours)


def expected_times(one: Job, after: datetime.datetime) -> list[datetime.datetime]:
    return [due.astimezone(UTC) for due in islice(due_times(one.schedule, after=after), COUNT)]


def notes_in(text: str, direction: str) -> list[str]:
    return [line for line in text.splitlines() if f"when clocks go {direction}" in line]


def has_repeated(times: list[datetime.datetime], zone: str) -> bool:
    local = [time.astimezone(ZoneInfo(zone)) for time in times]
    return any(one.utcoffset() != one.replace(fold=not one.fold).utcoffset() for one in local)
