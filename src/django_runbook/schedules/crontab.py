"""Writes schedules as a table of cron."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Final

from django_runbook.schedules.cron_syntax import with_numbers
from django_runbook.schedules.job import Installation, Job, command_line
from django_runbook.schedules.notes import Ability, notes_on
from django_runbook.structs import replace

_ABILITY: Final = Ability(
    jitter="cron starts on the minute, without a delay",
    catch_up="cron makes up for no missed start",
)
# A name without a dot: cron ignores others in /etc/cron.d.
FILE_NAME: Final = "runbooks"


def render(jobs: Sequence[Job], place: Installation) -> dict[str, str]:
    """Return one table with a line for each job; with a user, it is one for /etc/cron.d."""
    lines: list[str] = []
    if place.mailto is not None:
        lines.append(f"MAILTO={place.mailto}")
    lines += _zone_note(jobs)
    zone = None
    for job in jobs:
        lines += ["", f"# {job.title}", *(f"# {note}" for note in notes_on(job, _ABILITY))]
        if job.timezone != zone:
            zone = job.timezone
            lines.append(f"CRON_TZ={zone}")
        lines.append(_line(job, place))
    return {FILE_NAME: "\n".join(lines) + "\n"}


def _zone_note(jobs: Sequence[Job]) -> list[str]:
    zones = sorted({job.timezone for job in jobs})
    if len(zones) == 1:
        return [
            f"# CRON_TZ needs cronie. Other crons ignore it: with them, the time zone of the host must be {zones[0]}."
        ]
    return ["# CRON_TZ needs cronie. Other crons ignore it and have one time zone: do not use this table with them."]


def _line(job: Job, place: Installation) -> str:
    # A mail then means that somebody should look.
    quiet = place if place.arguments is not None else replace(place, arguments=("--verbosity", "0"))
    call = command_line(job, quiet)
    if place.directory is not None:
        call = f"cd {shlex.quote(place.directory)} && {call}"
    words = [with_numbers(job.schedule.cron), *([place.user] if place.user else []), _escaped(call)]
    return "  ".join(words)


def _escaped(call: str) -> str:
    # cron ends the command at an unescaped percent sign, and some crons drop the first of two backslashes. A backslash
    # is in single quotes here: closing and opening them separates it from what follows.
    return call.replace("\\", "\\''").replace("%", r"\%")
