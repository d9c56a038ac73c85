"""The setting ``RUNBOOK`` to checked values: the one place that reads Django's settings for us."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from django_runbook.document.diagnostics import nearest
from django_runbook.exceptions import InvalidUsage

_KEYS = ("DIRS", "JOURNAL", "STOP_TIMEOUT")
DEFAULT_STOP_TIMEOUT_SECONDS = 8.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """``dirs`` are searched for runbooks after the working directory; ``has_journal`` says that runs are recorded."""

    dirs: tuple[Path, ...] = ()
    has_journal: bool = True
    stop_timeout_seconds: float = DEFAULT_STOP_TIMEOUT_SECONDS


def read() -> Configuration:
    """The project's configuration; raises InvalidUsage for what it cannot mean."""
    values = getattr(settings, "RUNBOOK", {})
    if not isinstance(values, Mapping):
        raise InvalidUsage("the setting RUNBOOK must be a dictionary")
    for key in values:
        if key not in _KEYS:
            near = nearest(str(key), _KEYS)
            hint = f'"{near}" is near' if near else f"its keys are: {', '.join(_KEYS)}"
            raise InvalidUsage(f'the setting RUNBOOK has no key "{key}"; {hint}')
    return Configuration(
        dirs=_dirs(values), has_journal=_has_journal(values), stop_timeout_seconds=_stop_timeout(values)
    )


def _dirs(values: Mapping[str, object]) -> tuple[Path, ...]:
    dirs = values.get("DIRS", ())
    if not isinstance(dirs, list | tuple):
        raise InvalidUsage('RUNBOOK["DIRS"] must be a list of directories')
    return tuple(Path(directory) for directory in dirs)


def _has_journal(values: Mapping[str, object]) -> bool:
    has_journal = values.get("JOURNAL", True)
    if not isinstance(has_journal, bool):
        raise InvalidUsage('RUNBOOK["JOURNAL"] must be True or False')
    return has_journal


def _stop_timeout(values: Mapping[str, object]) -> float:
    seconds = values.get("STOP_TIMEOUT", DEFAULT_STOP_TIMEOUT_SECONDS)
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or seconds < 0:
        raise InvalidUsage('RUNBOOK["STOP_TIMEOUT"] must be a number of seconds')
    return float(seconds)
