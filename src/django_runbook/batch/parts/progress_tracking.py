"""Tracks the progress of a loop or of any other work.

In a command that cannot inherit from `ProgressCommand`, the loop is written

    stealth_options = ("progress",)
    ...
    for flight in track(flights, description="Flights", report=options.get("progress")):

and outside of a command it is just ``track(flights)``.
"""

from __future__ import annotations

import operator
import time
from collections.abc import Callable, Iterable, Iterator
from typing import IO, Self, TypeVar

from django_runbook.batch.parts.progress_outputs import ProgressOutput, Report, default_output
from django_runbook.batch.parts.progress_state import ProgressState

Item = TypeVar("Item")
# The total, or a function that counts it, which is called when progress is shown the second time: short work is never
# counted.
Total = int | Callable[[], "int | None"] | None


class ProgressTracker:
    """Tracks progress: call `update` whenever the numbers change, and `close` at the end, or use it in ``with``.

    ``total`` is a number, or a function that counts all items, done or not; `update` calls it once the work has taken
    long enough to be shown twice. ``done_count`` is the work of an earlier process: it counts as done, but not for the
    rate.
    """

    def __init__(
        self,
        *,
        total: Total = None,
        description: str = "",
        done_count: int = 0,
        failed_count: int = 0,
        output: ProgressOutput | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._count = total if callable(total) else None
        self._total_count = None if callable(total) else total
        self._description = description
        self._first_count = self._done_count = done_count
        self._failed_count = failed_count
        self._output = default_output() if output is None else output
        self._clock = clock
        self._started_at = clock()
        self._is_closed = False
        self.due_at = 0.0
        self._show()

    def update(self, done_count: int, failed_count: int = 0) -> None:
        """Set how many items are done so far, and how many of them failed."""
        self._done_count, self._failed_count = done_count, failed_count
        if self._clock() >= self.due_at:
            if self._count is not None:
                count, self._count = self._count, None
                self._total_count = count()
            self._show()

    def finish(self) -> None:
        """Show the final numbers of completed work; its total is known without counting."""
        if self._count is not None:
            self._total_count = self._done_count
        self.close()

    def close(self) -> None:
        """Show the final numbers, once."""
        if not self._is_closed:
            self._is_closed = True
            self._show(is_last=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _show(self, *, is_last: bool = False) -> None:
        now = self._clock()
        elapsed = now - self._started_at
        self.due_at = now + self._output.interval_seconds
        state = ProgressState(
            description=self._description,
            done_count=self._done_count,
            total_count=self._total_count,
            failed_count=self._failed_count,
            elapsed_seconds=elapsed,
            rate=(self._done_count - self._first_count) / elapsed if elapsed > 0 else 0.0,
        )
        self._output.show(state, is_last=is_last)


def track(
    iterable: Iterable[Item],
    *,
    total: Total = None,
    description: str = "",
    report: Report | None = None,
    stream: IO[str] | None = None,
) -> Iterator[Item]:
    """Yield the items and show progress; an item counts as done when the loop asks for the next one.

    ``total`` defaults to the length of the iterable, if it has one; a function, such as ``flights.count``, is called
    once the work has taken long enough to be shown twice. Progress goes to ``report`` if there is one, otherwise to
    ``stream``, by default standard error.
    """
    return track_to(
        default_output(report=report, stream=stream), iterable=iterable, total=total, description=description
    )


def track_to(
    output: ProgressOutput, *, iterable: Iterable[Item], total: Total = None, description: str = ""
) -> Iterator[Item]:
    """Yield the items and show progress on an output."""
    if total is None:
        length = operator.length_hint(iterable, -1)
        total = None if length < 0 else length
    done_count = 0
    with ProgressTracker(total=total, description=description, output=output) as progress:
        update = progress.update
        for item in iterable:
            yield item
            done_count += 1
            update(done_count)
        progress.finish()
