"""Defines what the runner needs from the recorder of a run."""

from __future__ import annotations

from typing import Final, Protocol

from django.db import DEFAULT_DB_ALIAS

from django_runbook.executors.messages import Commit

# An output that must not be kept.
HIDDEN: Final = object()


class Recorder(Protocol):
    """Records what must be stored before the run continues; its events come another way.

    ``alias`` is the database in which an atomic step commits together with its row.
    """

    @property
    def alias(self) -> str: ...

    @property
    def descriptors(self) -> tuple[int, ...]:
        """Return the descriptors that the processes of steps keep open, which show that the run is still at work."""

    def wait(self) -> None:
        """Wait until all events so far are stored; raise RunbookError if they cannot be."""

    def is_kept(self) -> bool:
        """Return whether all events so far are stored, so that the run can be resumed."""

    def keep_output(self, step_id: str, output: object) -> None:
        """Take what ``capture`` made of a step's output, before the step ends; `HIDDEN` must not be kept."""

    def keep_item(self, step_id: str, item: object) -> None:
        """Take the item that a step is for, before the step starts."""

    def commit(self, step_id: str) -> Commit:
        """Return what an atomic step writes with its commit."""

    def is_committed(self, step_id: str) -> bool:
        """Return whether the rows of `commit` were written, for a step that could not report it."""

    def confirm_commit(self, step_id: str) -> None:
        """Note that the rows of `commit` were written."""


class NoRecorder:
    """Records nothing."""

    alias = DEFAULT_DB_ALIAS
    descriptors: tuple[int, ...] = ()

    def wait(self) -> None:
        """Do nothing."""

    def is_kept(self) -> bool:
        return False

    def keep_output(self, step_id: str, output: object) -> None:
        """Do nothing."""

    def keep_item(self, step_id: str, item: object) -> None:
        """Do nothing."""

    def commit(self, step_id: str) -> Commit:
        return Commit()

    def is_committed(self, step_id: str) -> bool:
        return False

    def confirm_commit(self, step_id: str) -> None:
        """Do nothing."""
