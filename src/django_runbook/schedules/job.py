"""Describes what a scheduler starts, and where."""

from __future__ import annotations

import datetime
import math
import shlex
from typing import Final

from django_runbook.cleaning import cleaned_line
from django_runbook.document.inputs import names_of_required_env, names_of_secrets
from django_runbook.document.outline import outline
from django_runbook.document.runbook import Runbook, Schedule
from django_runbook.exceptions import InvalidUsage
from django_runbook.results import Role
from django_runbook.schedules.times import zone_of
from django_runbook.structs import Struct

# What a run needs beyond its limits: to print the summary and to record the end.
_MARGIN_SECONDS: Final = 5


class Installation(Struct):
    """Holds how the project is started where the scheduler works; None for what the user did not give.

    ``project_options`` select the settings; beat, whose worker has them already, needs none.
    """

    python: str
    manage: str
    directory: str | None = None
    arguments: tuple[str, ...] | None = None
    project_options: tuple[str, ...] = ()
    user: str | None = None
    env_file: str | None = None
    mailto: str | None = None
    on_failure: str | None = None
    image: str | None = None
    namespace: str | None = None
    secret: str | None = None
    task: str | None = None
    setup: str | None = None


class Job(Struct):
    """Holds what a scheduler must know about one runbook.

    ``name`` is unique among the jobs, and is valid for all schedulers. ``stop_seconds`` is how long a stop may take.
    ``secrets`` and ``variables`` name the environment variables that it needs.
    """

    name: str
    file: str
    title: str
    schedule: Schedule
    timezone: str
    zone: datetime.tzinfo
    timeout_seconds: float | None
    stop_seconds: int
    secrets: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()
    fails_on_overlap: bool = False

    @property
    def argument(self) -> str:
        """Return the file as an argument: a name that begins with a dash would be an option."""
        return f"./{self.file}" if self.file.startswith("-") else self.file


class Unsupported(InvalidUsage):
    """Reports a schedule that a scheduler cannot express."""


def new_job(runbook: Runbook, schedule: Schedule, *, name: str, file: str, stop_timeout_seconds: float) -> Job:
    """Describe the job of a runbook."""
    zone = zone_of(schedule)
    steps = sum(entry.role is Role.FINALLY for entry in outline(runbook).values())
    needed = (stop_timeout_seconds + 2) * (1 + steps) + _MARGIN_SECONDS
    return Job(
        name=name,
        file=file,
        title=" ".join(cleaned_line(runbook.name).split()),
        schedule=schedule,
        timezone=str(zone),
        zone=zone,
        timeout_seconds=runbook.timeout_seconds,
        stop_seconds=math.ceil(needed / 10) * 10,
        secrets=tuple(names_of_secrets(runbook)),
        variables=tuple(names_of_required_env(runbook)),
        fails_on_overlap=runbook.lock is not None and runbook.lock.on_conflict != "skip",
    )


def command(job: Job, place: Installation) -> list[str]:
    """Return the words that start the job."""
    start = [place.python, place.manage, "run_runbook", job.argument]
    return [*start, *place.project_options, *(place.arguments or ())]


def command_line(job: Job, place: Installation) -> str:
    return shlex.join(command(job, place))
