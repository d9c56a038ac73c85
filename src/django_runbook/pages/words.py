"""Statuses, times and values to the words and marks that people read."""

from __future__ import annotations

import datetime
import json
import shlex
from collections.abc import Sequence
from functools import cache
from typing import Final

from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from django_runbook import command_lines
from django_runbook.fields import storable
from django_runbook.models import RUNNING, Run
from django_runbook.reporters.texts import duration
from django_runbook.results import Role, RunStatus, StepStatus

# A step whose failure was ignored: no status of its own, but people must be able to tell it apart.
IGNORED: Final = "ignored"
# In the order in which they are counted.
LABELS: Final = {
    StepStatus.SUCCEEDED.value: "succeeded",
    RunStatus.WARNING.value: "warning",
    StepStatus.FAILED.value: "failed",
    IGNORED: "ignored",
    StepStatus.TIMED_OUT.value: "timed out",
    StepStatus.INTERRUPTED.value: "interrupted",
    RUNNING: "running",
    RunStatus.REFUSED.value: "refused",
    StepStatus.SKIPPED.value: "skipped",
    StepStatus.NOT_RUN.value: "not run",
}
ROLES: Final = {
    Role.STEP.value: "",
    Role.ON_SUCCESS.value: "on success",
    Role.ON_FAILURE.value: "on failure",
    Role.FINALLY.value: "finally",
}
_UNITS: Final = ((86400, "d"), (3600, "h"), (60, "m"))


def look_of(status: str, *, ignored: bool, is_gone: bool) -> str:
    """The status of an attempt as a person should see it; ``is_gone`` says that the process of its run died."""
    if status == RUNNING and is_gone:
        return StepStatus.INTERRUPTED.value
    return IGNORED if ignored else status


@cache
def badge(look: str) -> SafeString:
    """The status as a mark of its own shape, and in words."""
    return format_html(
        '<span class="rb-badge rb-{}"><svg class="rb-icon" aria-hidden="true"><use href="#rb-i-{}"/></svg>{}</span>',
        look,
        look,
        LABELS.get(look, look),
    )


def took(seconds: float | None) -> str:
    """Write how long it took; empty if that is not known."""
    return "" if seconds is None else duration(seconds)


def pause(seconds: float) -> str:
    """How long something lay: ``2d03h`` where it was more than a day."""
    hours = round(seconds / 3600)
    return duration(seconds) if hours < 24 else f"{hours // 24}d{hours % 24:02}h"


def span(seconds: float) -> str:
    """A round number of seconds, as short as it can be: ``0``, ``0.5s``, ``90s`` as ``1m30s``, ``2h``."""
    if seconds < 60:
        return f"{seconds:g}s" if seconds else "0"
    parts, rest = "", round(seconds)
    for size, unit in _UNITS:
        count, rest = divmod(rest, size)
        parts += f"{count}{unit}" if count else ""
    return f"{parts}{rest}s" if rest else parts


def counted(look: str) -> str:
    """The status as it stands behind a number of steps."""
    return "failed but ignored" if look == IGNORED else LABELS[look]


def moment(at: datetime.datetime) -> str:
    """Write a time to the second, in the time zone of the person, which is named."""
    # Without USE_TZ, times have no zone.
    return (timezone.localtime(at) if timezone.is_aware(at) else at).strftime("%Y-%m-%d %H:%M:%S %Z").rstrip()


def number(value: int) -> str:
    """``12,345``, in every language: what stands beside it is English."""
    return f"{value:,}"


def plain(value: object) -> str:
    """A stored value as text: a text as it is, texts with commas, the rest as JSON."""
    if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
        return storable(", ".join(value))
    return storable(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def command_line(argv: Sequence[str]) -> str:
    """The tokens as they are typed into a shell."""
    return storable(shlex.join(argv))


def resume_line(run: Run) -> str:
    """Return the command line that resumes a run."""
    withheld = run.options.get("withheld_params", ())
    return command_lines.resume_command(run.runbook, run.id, options={}, withheld=withheld, owns_process=False)
