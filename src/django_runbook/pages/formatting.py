"""Formats statuses, times and values for pages."""

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

from django_runbook import command_lines, wording
from django_runbook.models import RUNNING, Run
from django_runbook.models.fields import to_db_text
from django_runbook.results import Role, RunStatus, StepStatus

# Displayed like a status, although a step with an ignored failure has the status of the failure.
IGNORED: Final = "ignored"
# In the order in which the counts are shown.
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


def attempt_status(status: str, *, ignored: bool, is_dead: bool) -> str:
    """Return the status of an attempt to display; ``is_dead`` means that the process of its run died."""
    if status == RUNNING and is_dead:
        return StepStatus.INTERRUPTED.value
    return IGNORED if ignored else status


@cache
def badge(status: str) -> SafeString:
    """Return an icon and a label for a status."""
    return format_html(
        '<span class="rb-badge rb-{}"><svg class="rb-icon" aria-hidden="true"><use href="#rb-i-{}"/></svg>{}</span>',
        status,
        status,
        LABELS.get(status, status),
    )


def took(seconds: float | None) -> str:
    """Format a duration; empty if it is unknown."""
    return "" if seconds is None else wording.short_duration(seconds)


def counted(status: str) -> str:
    """Return the label of a status after a number of steps."""
    return "failed but ignored" if status == IGNORED else LABELS[status]


def moment(at: datetime.datetime) -> str:
    """Format a time to the second, in the current time zone, which is included."""
    # Without USE_TZ, times are naive.
    return (timezone.localtime(at) if timezone.is_aware(at) else at).strftime("%Y-%m-%d %H:%M:%S %Z").rstrip()


def number(value: int) -> str:
    """Format ``12,345`` in every locale, because the text around it is English."""
    return f"{value:,}"


def value_text(value: object) -> str:
    """Format a stored value: a string as it is, a list of strings with commas, other values as JSON."""
    if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
        return to_db_text(", ".join(value))
    return to_db_text(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def command_line(argv: Sequence[str]) -> str:
    """Quote tokens as for a shell."""
    return to_db_text(shlex.join(argv))


def resume_line(run: Run) -> str:
    """Return the command line that resumes a run."""
    withheld = run.options.get("withheld_params", ())
    return command_lines.resume_command(run.runbook, run.id, options={}, withheld=withheld, owns_process=False)
