"""Draws the running steps at the bottom of a terminal, ten times a second."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Iterator
from typing import IO, Any, Final

from rich.console import Console, ConsoleDimensions, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from django_runbook import events, wording
from django_runbook.reporters.pace import Pace

_MAX_LINES: Final = 5
_BAR_WIDTH: Final = 30
# Lines of the terminal that stay free for earlier output.
_SPARE_HEIGHT: Final = 4
_MAX_COLLECTED: Final = 1000


class Terminal(Console):
    """Collects output to show above the display, so that many lines cost no more than one.

    ``error`` is set when writing fails: the display's own thread could not report it, and rich would end the process
    when its pipe is closed.
    """

    def __init__(self, file: IO[str], **options: Any) -> None:
        super().__init__(file=file, highlight=False, **options)
        self.error: Exception | None = None
        self._collected: deque[RenderableType] = deque()
        self._flushing = threading.Lock()

    @property  # type: ignore[misc]  # it is never set
    def size(self) -> ConsoleDimensions:
        """Return the size of the terminal of the stream: the standard descriptors may be pipes during a run."""
        if self._width is not None or self._height is not None or self.is_dumb_terminal:
            return super().size
        try:
            width, height = os.get_terminal_size(self.file.fileno())
        except (OSError, ValueError, AttributeError):
            return super().size
        return ConsoleDimensions(width, height) if width and height else super().size

    def collect(self, shown: RenderableType) -> None:
        self._collected.append(shown)
        if len(self._collected) > _MAX_COLLECTED:
            self.flush()

    def flush(self) -> None:
        """Show the collected output."""
        with self._flushing:
            shown = [self._collected.popleft() for _ in range(len(self._collected))]
            if shown:
                self.print(Group(*shown))

    def on_broken_pipe(self) -> None:
        self.error = BrokenPipeError("the output was closed")
        self.quiet = True


class Display(Live):
    """Redraws the lines at the bottom in a thread, and flushes the collected output above them."""

    def __init__(self, activities: Activities, *, console: Terminal) -> None:
        # The runner replaces the standard streams, so rich must not.
        super().__init__(
            activities,
            console=console,
            refresh_per_second=10,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._terminal = console

    def refresh(self) -> None:
        try:
            # The thread that stops the display holds its lock, and flushes the rest itself.
            if self.is_started:
                self._terminal.flush()
            super().refresh()
        except (OSError, ValueError) as error:
            self._terminal.error = error


class Activity:
    """Holds the state of a running command, or of waiting for a lock.

    ``place`` is the queue or the worker of a command that does not run on this host.
    """

    def __init__(self, name: str, *, argv: str = "", started: float) -> None:
        self.name = name
        self.argv = argv if argv != name else ""
        self.started = started
        self.place = ""
        self.lines: deque[str] = deque(maxlen=_MAX_LINES)
        self.pace = Pace()


class Activities:
    """Holds the current activities; the threads of the run change them, and the thread of the display draws them."""

    def __init__(self, console: Console) -> None:
        self.step_count = 0
        self.done_count = 0
        # When the run usually ends.
        self.forecast_end = ""
        self._console = console
        self._spinner = Spinner("dots", style="blue")
        self._running: dict[str, Activity] = {}
        self._waiting: dict[str, Activity] = {}

    def start(self, event: events.StepStarted) -> None:
        argv = " ".join(event.argv or ())
        self._running[event.step_id] = Activity(event.name, argv=argv, started=self._console.get_time())

    def wait(self, event: events.LockAwaited) -> None:
        self._waiting[event.step_id] = Activity(f'lock "{event.name}"', started=self._console.get_time())

    def end_waiting(self, step_ids: tuple[str, ...]) -> None:
        for step_id in step_ids:
            self._waiting.pop(step_id, None)

    def get(self, step_id: str) -> Activity | None:
        return self._running.get(step_id)

    def finish(self, step_id: str) -> None:
        self._running.pop(step_id, None)

    def clear(self) -> None:
        self._running.clear()
        self._waiting.clear()

    def __rich__(self) -> RenderableType:
        # Copied at once, because other threads change them.
        return Group(*self._rows((*self._waiting.values(), *self._running.values())))

    def _rows(self, running: tuple[Activity, ...]) -> Iterator[RenderableType]:
        height = max(self._console.height - _SPARE_HEIGHT, 1)
        shown = running if len(running) <= height else running[: max(height - 1, 1)]
        bar_count = sum(1 for one in shown if one.pace.text())
        spare = (height - len(shown) - bar_count) // max(len(shown), 1)
        line_count = min(_MAX_LINES, spare, max(2 * _MAX_LINES // max(len(shown), 1), 1))
        for number, one in enumerate(shown):
            yield self._row(one, is_first=number == 0)
            if one.pace.text():
                yield self._bar(one)
            for line in tuple(one.lines)[-line_count:] if line_count > 0 else ():
                yield Text(f"    {line}", style="dim", no_wrap=True, overflow="ellipsis")
        if len(shown) < len(running):
            yield Text(f"  ... and {len(running) - len(shown)} more", style="dim")

    def _row(self, one: Activity, *, is_first: bool) -> Table:
        place = (f"  {one.place}" if one.place else "", "blue")
        argv = (f"  {one.argv}" if one.argv else "", "dim")
        title = Text.assemble((one.name, "bold"), place, argv, overflow="ellipsis")
        title.no_wrap = True
        spent = wording.short_duration(self._console.get_time() - one.started)
        is_counted = is_first and self.step_count
        count = f"{min(self.done_count + 1, self.step_count)}/{self.step_count}  " if is_counted else ""
        end = f", run ends at about {self.forecast_end}" if is_first and self.forecast_end else ""
        row = Table.grid(padding=(0, 1), expand=True)
        row.add_column(width=2)
        row.add_column(ratio=1)
        row.add_column(justify="right")
        row.add_row(self._spinner, title, Text(f"{count}{spent}{end}", style="blue"))
        return row

    def _bar(self, one: Activity) -> Table:
        done, total = one.pace.counts
        row = Table.grid(padding=(0, 1))
        row.add_column(width=2)
        row.add_column(width=_BAR_WIDTH)
        row.add_column(no_wrap=True, overflow="ellipsis")
        # A pulsing bar is animated by the clock.
        bar = ProgressBar(total=total, completed=done, width=_BAR_WIDTH, animation_time=self._console.get_time())
        row.add_row("", bar, Text(one.pace.text(), style="blue"))
        return row
