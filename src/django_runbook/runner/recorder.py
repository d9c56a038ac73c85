"""Defines how the runner records a run; the journal implements it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from django.db import DEFAULT_DB_ALIAS


class Recorder(Protocol):
    """Records what must be stored before the run continues; the events of the run come another way.

    ``alias`` is the database in which an atomic step commits together with its row.
    """

    @property
    def alias(self) -> str: ...

    @property
    def descriptors(self) -> tuple[int, ...]:
        """Return the descriptors that a step's process inherits: they prove that the run is still running."""

    def wait(self) -> None:
        """Wait until all events so far are stored; raise RunbookError if they cannot be stored."""

    def is_recorded(self) -> bool:
        """Return whether all events so far are stored, so that the run can be resumed."""

    def keep_output(self, step_id: str, output: object) -> None:
        """Record the output that ``capture`` read, before the step ends."""

    def withhold_output(self, step_id: str) -> None:
        """Record that the output of a step is hidden and must not be stored."""

    def keep_item(self, step_id: str, item: object) -> None:
        """Record the loop item of a step, before the step starts."""

    def success_write(self, step_id: str) -> Callable[[], None] | None:
        """Return the write that an atomic step executes in its own transaction, right before the commit."""

    def is_committed(self, step_id: str) -> bool:
        """Return whether the success write was committed, for a step that could not report it."""

    def confirm_commit(self, step_id: str) -> None:
        """Note that the success write was committed."""

    def attempt_of(self, step_id: str) -> int:
        """Return the attempt number of the row of a running step."""


class NoRecorder:
    """Records nothing."""

    alias = DEFAULT_DB_ALIAS
    descriptors: tuple[int, ...] = ()

    def wait(self) -> None: ...

    def is_recorded(self) -> bool:
        return False

    def keep_output(self, step_id: str, output: object) -> None: ...

    def withhold_output(self, step_id: str) -> None: ...

    def keep_item(self, step_id: str, item: object) -> None: ...

    def success_write(self, step_id: str) -> Callable[[], None] | None:
        return None

    def is_committed(self, step_id: str) -> bool:
        return False

    def confirm_commit(self, step_id: str) -> None: ...

    def attempt_of(self, step_id: str) -> int:
        return 1
