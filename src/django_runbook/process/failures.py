"""Converts exceptions into failures of steps."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from typing import Final

from django_runbook.cleaning import Mask
from django_runbook.exceptions import StepError, Stopped, names_of, said
from django_runbook.process import exits, stopping
from django_runbook.process.streams import clean_text
from django_runbook.results import Failure

_RAISING: Final = frozenset((exits.__file__, stopping.__file__))


def failure_of(error: BaseException, mask: Mask, *, exit_code: int = 1, message: str | None = None) -> Failure:
    """Convert an exception, without secrets and control characters."""
    text = said(error) if message is None else message
    name = type(error).__name__
    return Failure(
        error_type=name,
        message=clean_text(text, mask) or name,
        exit_code=exit_code,
        error_names=names_of(type(error)),
        traceback=clean_text(traceback_of(error), mask),
    )


def named_failure(kind: type[StepError], message: str) -> Failure:
    """Describe a failure for which the command has raised no exception."""
    return Failure(error_type=kind.__name__, message=message, exit_code=kind.exit_code, error_names=names_of(kind))


def traceback_of(error: BaseException) -> str:
    """Format the traceback of an error, even if Python itself cannot format it."""
    try:
        return "".join(_traceback(error))
    except Exception:  # noqa: BLE001 - the class of the exception may be broken
        frames = traceback.format_tb(error.__traceback__)
        return "".join([*frames, f"{type(error).__name__}: {said(error)}\n"])


def _traceback(error: BaseException) -> Iterator[str]:
    """Format an error, without our own frames at the end, so that the last frame is that of the command."""
    found = traceback.TracebackException.from_exception(error)
    if isinstance(error, Stopped | exits.ProcessExit):
        while len(found.stack) > 1 and found.stack[-1].filename in _RAISING:
            del found.stack[-1]
    return found.format()
