"""Writes schedules as workflows of GitHub Actions."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from typing import Any, Final

from django_runbook.schedules.cron_syntax import portable
from django_runbook.schedules.job import Installation, Job, Unsupported, command
from django_runbook.schedules.notes import Ability, notes_on
from django_runbook.schedules.yaml_files import as_yaml

_ABILITY: Final = Ability(
    jitter="GitHub adds a delay of its own, which it does not limit",
    catch_up="GitHub may drop a start while it is busy, and makes up for none",
    skipped_real="{times} is due once more, after the change",
    repeated_fixed="{times} is due once or twice: GitHub does not say",
    repeated_real="{times} is due once or twice: GitHub does not say",
    overlap='if another run holds the lock, exit code 75 makes the job fail; "lock: {on_conflict: skip}" makes it 0',
)
_SHORTEST_MINUTES: Final = 5
_DEFAULT_JOB_MINUTES: Final = 360
_CHECKOUT: Final = "actions/checkout@v4"


def render(jobs: Sequence[Job], place: Installation) -> dict[str, str]:
    """Return a workflow for each job; raise Unsupported for starts less than five minutes apart."""
    return {f"{job.name}.yml": _workflow_text(job, place) for job in jobs}


def _workflow_text(job: Job, place: Installation) -> str:
    _refuse_short_intervals(job)
    comments = "".join(f"# {note}\n" for note in notes_on(job, _ABILITY))
    # The key is quoted by PyYAML, which takes it for a boolean of YAML 1.1.
    return comments + as_yaml(_workflow(job, place)).replace("\n'on':\n", "\non:\n", 1)


def _workflow(job: Job, place: Installation) -> dict[str, Any]:
    run: dict[str, Any] = {"run": shlex.join(command(job, place))}
    if place.directory is not None:
        run["working-directory"] = place.directory
    # One with a default is left out: GitHub sets a variable that it does not know to an empty string.
    needed = (*((name, "vars") for name in job.variables), *((name, "secrets") for name in job.secrets))
    if needed:
        run["env"] = {name: f"${{{{ {source}.{name} }}}}" for name, source in needed}
    steps: dict[str, Any] = {"runs-on": "ubuntu-latest"}
    if job.timeout_seconds is not None:
        minutes = math.ceil((job.timeout_seconds + job.stop_seconds) / 60) + 5
        steps["timeout-minutes"] = max(minutes, _SHORTEST_MINUTES)
    if place.image is not None:
        steps["container"] = place.image
    checkout = [] if place.image is not None else [{"uses": _CHECKOUT}]
    setup = [] if place.setup is None else [{"run": place.setup}]
    steps["steps"] = [*checkout, *setup, run]
    return {
        "name": job.title,
        "on": {
            "schedule": [{"cron": portable(job, scheduler="GitHub"), "timezone": job.timezone}],
            "workflow_dispatch": None,
        },
        "permissions": {"contents": "read"},
        "concurrency": {"group": job.name, "cancel-in-progress": False},
        "jobs": {"run": steps},
    }


def _refuse_short_intervals(job: Job) -> None:
    cron = job.schedule.cron
    times = sorted(hour * 60 + minute for hour in cron.hours for minute in cron.minutes)
    # The first start of the next day follows the last one.
    gaps = [after - before for before, after in zip(times, (*times[1:], times[0] + 24 * 60), strict=True)]
    if min(gaps) < _SHORTEST_MINUTES:
        raise Unsupported(
            f'{job.file}: "{cron.text}" starts {min(gaps)} min apart, but GitHub starts a workflow at most every '
            f"{_SHORTEST_MINUTES} min"
        )
