"""Holds the row of an attempt of a step until the attempt ends."""

from __future__ import annotations

from typing import Any

from django_runbook.journal.output import KeptOutput
from django_runbook.models import RUNNING, StepRun
from django_runbook.structs import MutableStruct, field


class OpenRow(MutableStruct, kw_only=False):
    """Holds the row of an attempt that has not ended, with the columns to store at its end.

    ``status`` is the status of the row after all pending writes.
    """

    row: StepRun
    status: str = RUNNING
    output: KeptOutput = field(default_factory=KeptOutput)
    progress: dict[str, int | None] = field(default_factory=dict)
    captured: dict[str, object] = field(default_factory=dict)
    unusual: list[str] = field(default_factory=list)
    is_noted: bool = True

    def progress_columns(self) -> dict[str, Any]:
        """Return the output and the progress so far."""
        unusual = {"unusual": list(self.unusual)} if self.unusual else {}
        return {**self.output.columns(), **self.progress, **unusual}

    def take_end_columns(self) -> dict[str, Any]:
        """Return the columns that the command itself produced; the captured output only once."""
        captured, self.captured = self.captured, {}
        return {**self.progress_columns(), **captured}
