"""Draws progress as a bar on a terminal; the only module of the library that imports rich."""

from __future__ import annotations

from typing import IO

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from django_runbook.batch.parts.progress_state import ProgressState


class ProgressBar:
    """Draws a bar from the working thread, at most ten times a second, and does not redirect the standard streams."""

    interval_seconds = 0.1

    def __init__(self, stream: IO[str], *, no_color: bool) -> None:
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[text]}", markup=False),
            console=Console(file=stream, no_color=no_color, highlight=False),
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._task = self._progress.add_task("", total=None, text="", start=True)

    def show(self, state: ProgressState, *, is_last: bool) -> None:
        self._progress.update(
            self._task,
            description=state.description,
            completed=state.done_count,
            total=state.total_count,
            text="  ".join(part for part in (state.count_text, state.speed_text) if part),
        )
        # Started here, so that the bar first appears with numbers.
        self._progress.start()
        self._progress.refresh()
        if is_last:
            self._progress.stop()
