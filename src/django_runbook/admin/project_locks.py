"""Provides the locks of the project, which show whether a run is alive."""

from __future__ import annotations

from django_runbook import conf
from django_runbook.exceptions import RunbookError
from django_runbook.locks.base import Lock
from django_runbook.locks.factory import Locks, new_factory


def new_lock() -> Locks:
    """Return the locks of the project, to see which of them are free."""
    try:
        return new_factory(conf.read(), what="the admin, to check whether a run is alive")
    except RunbookError as error:
        return Locks(_Refusing(error), name="unknown", options={})


class _Refusing:
    """Replaces locks whose settings are invalid; every call raises the error."""

    identity = ""

    def __init__(self, error: RunbookError) -> None:
        self._error = error

    def __call__(self, name: str) -> Lock:
        raise self._error
