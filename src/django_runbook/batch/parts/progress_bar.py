"""Progress to a bar on a terminal: the only module of the library that imports rich."""

from __future__ import annotations

from typing import IO

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from django_runbook.batch.parts.progress_command import Standing


class Bar:
    """Drawn by the thread that works, at most ten times a second; the standard streams are left as they are."""

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

    def show(self, standing: Standing, *, is_last: bool) -> None:
        self._progress.update(
            self._task,
            description=standing.description,
            completed=standing.done_count,
            total=standing.total_count,
            text="  ".join(part for part in (standing.count_text, standing.speed_text) if part),
        )
        # It begins with the first numbers, not with an empty bar.
        self._progress.start()
        self._progress.refresh()
        if is_last:
            self._progress.stop()
