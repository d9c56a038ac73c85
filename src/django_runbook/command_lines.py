"""Writes command lines as the user typed them to start this process."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Collection, Mapping
from typing import Any, Final

import django

import django_runbook
from django_runbook import wording

# Used if this process, for example a worker or a test runner, was not started as a command.
_USUAL: Final = ("python", "manage.py")
_COMMAND: Final = "run_runbook"
_KEPT: Final = ("settings", "pythonpath")


def resume_command(
    file: str, run_id: str, *, options: Mapping[str, Any], withheld: Collection[str] = (), owns_process: bool = True
) -> str:
    """Return the command line that resumes a run; the user fills in parameters that could not be recorded.

    It starts as this process was started, with the options that select the project.
    """
    started = program(sys.argv, getattr(sys, "orig_argv", ())) if owns_process else _USUAL
    project = [f"--{name}={options[name]}" for name in _KEPT if options.get(name)]
    params = [word for name in withheld for word in ("--param", f"{name}=...")]
    resume = ["--resume", wording.short_id(run_id)]
    return shlex.join([*started, _COMMAND, file, *project, *params, *resume])


def version() -> str:
    """Return the versions of this package and of Django."""
    return f"django-runbook {django_runbook.__version__}, Django {django.get_version()}"


def program(argv: Collection[str], original: Collection[str]) -> tuple[str, ...]:
    """Return the words before the name of the command: ``python manage.py`` or ``python -m django``."""
    given, typed = tuple(argv)[1:], tuple(original)
    # The name of the command is the first argument.
    if given[:1] != (_COMMAND,) or typed[-len(given) :] != given or len(typed) == len(given):
        return _USUAL
    return typed[: -len(given)]
