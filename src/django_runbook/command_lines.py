"""Writes command lines as the person who started this process typed them."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Collection, Mapping
from importlib import metadata
from typing import Any, Final

import django

from django_runbook import wording

# A worker or a test runner was not started to run commands.
_USUAL: Final = ("python", "manage.py")
_COMMAND: Final = "run_runbook"
_KEPT: Final = ("settings", "pythonpath")


def resume_command(
    file: str, run_id: str, *, options: Mapping[str, Any], withheld: Collection[str] = (), owns_process: bool = True
) -> str:
    """Return the line that resumes a run; parameters that could not be recorded are left to be filled in.

    It begins as this process was started, with the options that choose the project.
    """
    started = program(sys.argv, getattr(sys, "orig_argv", ())) if owns_process else _USUAL
    project = [f"--{name}={options[name]}" for name in _KEPT if options.get(name)]
    params = [word for name in withheld for word in ("--param", f"{name}=...")]
    resume = ["--resume", wording.short_id(run_id)]
    return shlex.join([*started, _COMMAND, file, *project, *params, *resume])


def version() -> str:
    """Name the releases of this package and of Django."""
    return f"django-runbook {metadata.version('django-runbook')}, Django {django.get_version()}"


def program(argv: Collection[str], original: Collection[str]) -> tuple[str, ...]:
    """Return the words that stand before the name of the command: ``python manage.py``, ``python -m django``."""
    given, typed = tuple(argv)[1:], tuple(original)
    # Django takes the name of the command as the first word.
    if given[:1] != (_COMMAND,) or typed[-len(given) :] != given or len(typed) == len(given):
        return _USUAL
    return typed[: -len(given)]
