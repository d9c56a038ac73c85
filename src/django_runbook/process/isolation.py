"""Decides whether steps run in subprocesses or in this process."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from django.conf import settings
from django.db import connections

from django_runbook.process import threads
from django_runbook.process.connections import is_in_memory
from django_runbook.process.django_internals import is_django_test_run, settings_module
from django_runbook.structs import Struct


class Isolation(Struct):
    """Holds the decision where steps run.

    ``is_default`` applies to steps without `isolate`. If there is a ``reason``, every step runs in this process.
    With ``judges_timeouts``, a step that took too long in this process fails.
    """

    is_default: bool = True
    reason: str = ""
    judges_timeouts: bool = True

    @property
    def is_possible(self) -> bool:
        return not self.reason


def choose(*, is_inline: bool, is_default: bool | None, is_forkable: bool) -> Isolation:
    """Decide for one run.

    ``is_inline`` requests this process, ``is_default`` is the setting, and ``is_forkable`` is the result of `can_fork`.
    """
    if is_inline:
        return Isolation(reason="--inline", judges_timeouts=False)
    for reason in _obstacles(is_default=is_default, is_forkable=is_forkable):
        return Isolation(reason=reason)
    # On macOS, system libraries do not survive a fork.
    return Isolation(is_default=sys.platform != "darwin" if is_default is None else is_default)


def _obstacles(*, is_default: bool | None, is_forkable: bool) -> Iterator[str]:
    """Yield the reasons that force steps into this process."""
    for connection in connections.all(initialized_only=True):
        if connection.in_atomic_block:
            yield f'inside a transaction of the database "{connection.alias}"'
    yield from _lasting_obstacles(is_forkable=is_forkable)
    if is_django_test_run() and is_default is None:
        yield "in a test"


def _lasting_obstacles(*, is_forkable: bool) -> Iterator[str]:
    """Yield the reasons that follow from the settings."""
    for alias in filter(is_in_memory, connections):
        yield f'the database "{alias}" is in memory'
    if not is_forkable and not can_be_set_up():
        yield "the settings exist only in this process, which has threads and cannot be forked"


def lasting_obstacle() -> str:
    """Return the reason that forces every run of this project inline; an empty string if there is none."""
    return next(_lasting_obstacles(is_forkable=can_fork(owns_process=True)), "")


def can_fork(*, owns_process: bool) -> bool:
    """Return whether this process can be forked: it belongs to the run, and has a single thread."""
    return owns_process and threads.count() == 1


def can_be_set_up() -> bool:
    """Return whether a fresh interpreter finds the settings of this process in their module."""
    return settings_module(settings) is not None
