"""How far a piece of work is: a bar on a terminal, now and then a line elsewhere, and numbers for a runner.

    class Command(ProgressCommand):
        def handle(self, *args, **options):
            flights = Flight.objects.filter(delay_class="")
            for flight in self.track(flights.iterator(), total=flights.count, description="Flights"):
                classify(flight)

In a command that cannot inherit from `ProgressCommand` the loop is written

    stealth_options = ("progress",)
    ...
    for flight in track(flights, description="Flights", report=options.get("progress")):

and without a command there is just ``track(flights)``.
"""

from __future__ import annotations

import operator
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import IO, Any, Protocol, Self, TypeVar

from django_runbook.batch.parts.mixin import Part

Item = TypeVar("Item")
# What a runner gives as the stealth option ``progress``: it is told done_count, total_count and failed_count.
Report = Callable[[int, "int | None", int], None]
# How much there is; a function is asked when progress is shown the second time, so that short work is never counted.
Total = int | Callable[[], "int | None"] | None
_REPORT_SECONDS = 0.5
_LINE_SECONDS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where a piece of work stands; ``rate`` is in items a second, since this process began."""

    description: str
    done_count: int
    total_count: int | None
    failed_count: int
    elapsed_seconds: float
    rate: float

    @property
    def count_text(self) -> str:
        """``1,200 of 3,000 (40%), 3 failed``."""
        text = f"{self.done_count:,}"
        if self.total_count is not None:
            text += f" of {self.total_count:,}"
        if self.total_count and self.done_count:
            text += f" ({min(100, 100 * self.done_count // self.total_count)}%)"
        return text + (f", {self.failed_count:,} failed" if self.failed_count else "")

    @property
    def speed_text(self) -> str:
        """``100/s, 0:00:18 left``; empty before anything is done."""
        if not self.rate:
            return ""
        text = f"{self.rate:,.0f}/s" if self.rate >= 10 else f"{self.rate:.1f}/s"
        if self.rate < 1:
            text = f"{self.rate * 60:.1f}/min"
        left_count = (self.total_count or 0) - self.done_count
        return text + (f", {_clock_text(left_count / self.rate)} left" if left_count > 0 else "")


class Outlet(Protocol):
    """Where progress goes, at most every ``interval_seconds`` but for the first and the last time."""

    interval_seconds: float

    def show(self, standing: Standing, *, is_last: bool) -> None: ...


class Progress:
    """How far a piece of work is: `update` as often as there is news, and `close` at the end, or use it in ``with``.

    ``total`` is a number, or a function that counts all there is, done or not: `update` asks it when the work has taken
    long enough to be shown twice. ``done_count`` is what an earlier process did: it counts for where the work stands,
    not for its rate.
    """

    def __init__(
        self,
        *,
        total: Total = None,
        description: str = "",
        done_count: int = 0,
        failed_count: int = 0,
        outlet: Outlet | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._count = total if callable(total) else None
        self._total_count = None if callable(total) else total
        self._description = description
        self._first_count = self._done_count = done_count
        self._failed_count = failed_count
        self._outlet = default_outlet() if outlet is None else outlet
        self._clock = clock
        self._started_at = clock()
        self._is_closed = False
        self.due_at = 0.0
        self._show()

    def update(self, done_count: int, failed_count: int = 0) -> None:
        """Say how much is done so far, and how much of it failed."""
        self._done_count, self._failed_count = done_count, failed_count
        if self._clock() >= self.due_at:
            if self._count is not None:
                count, self._count = self._count, None
                self._total_count = count()
            self._show()

    def finish(self) -> None:
        """All there was is done: show the last numbers, of which the total is known now without being counted."""
        if self._count is not None:
            self._total_count = self._done_count
        self.close()

    def close(self) -> None:
        """Show the last numbers, once."""
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
        self.due_at = now + self._outlet.interval_seconds
        standing = Standing(
            description=self._description,
            done_count=self._done_count,
            total_count=self._total_count,
            failed_count=self._failed_count,
            elapsed_seconds=elapsed,
            rate=(self._done_count - self._first_count) / elapsed if elapsed > 0 else 0.0,
        )
        self._outlet.show(standing, is_last=is_last)


def track(
    iterable: Iterable[Item],
    *,
    total: Total = None,
    description: str = "",
    report: Report | None = None,
    stream: IO[str] | None = None,
) -> Iterator[Item]:
    """The same items, and progress: an item counts as done when the loop comes back for the next one.

    ``total`` is found out where the iterable has a length; a function, such as ``flights.count``, is asked once the
    work has taken long enough to be shown twice. Progress goes to ``report`` where there is one (see the module), else
    to ``stream``, which is standard error by default.
    """
    return _track(iterable, total, description, default_outlet(report=report, stream=stream))


def _track(iterable: Iterable[Item], total: Total, description: str, outlet: Outlet) -> Iterator[Item]:
    if total is None:
        length = operator.length_hint(iterable, -1)
        total = None if length < 0 else length
    done_count = 0
    with Progress(total=total, description=description, outlet=outlet) as progress:
        update = progress.update
        for item in iterable:
            yield item
            done_count += 1
            update(done_count)
        progress.finish()


def default_outlet(
    *, report: Report | None = None, stream: IO[str] | None = None, no_color: bool = False, verbosity: int = 2
) -> Outlet:
    """Choose the runner if there is one, else nothing, a bar or lines, by the stream and the verbosity."""
    if report is not None:
        return _Runner(report)
    # Django's OutputWrapper ends each piece that is written with a line break, which a bar is made of.
    raw: IO[str] = getattr(stream, "_out", stream) or sys.stderr
    # A line on standard error makes cron send a mail, although nothing is wrong.
    if verbosity == 0 or (verbosity == 1 and not raw.isatty()):
        return _Nowhere()
    if not raw.isatty() or os.environ.get("TERM") in {"dumb", "unknown"}:
        return _Lines(raw)
    from django_runbook.batch.parts.progress_bar import Bar  # rich is imported where a bar is drawn, and only there

    return Bar(raw, no_color=no_color)


class ProgressCommand(Part):
    """A command with `track` and `progress`, which show a person, a log file or a runner how far it is.

    They write to standard error, so that what the command says on standard output stays clean. Without a terminal, as
    under cron, they need ``--verbosity 2``; ``--verbosity 0`` silences them everywhere, and ``--no-color`` holds.
    """

    stealth_options: tuple[str, ...] = ("progress",)

    _outlet: Callable[[], Outlet] = staticmethod(default_outlet)

    def execute(self, *args: Any, **options: Any) -> str | None:
        """Run the command; its progress goes where its options say."""

        def outlet() -> Outlet:
            return default_outlet(
                report=options.get("progress"),
                stream=self.stderr,  # type: ignore[arg-type]  # an OutputWrapper is a stream to write to
                no_color=bool(options.get("no_color")),
                verbosity=int(options.get("verbosity", 1)),
            )

        self._outlet = outlet
        try:
            return super().execute(*args, **options)
        finally:
            del self._outlet

    def track(self, iterable: Iterable[Item], *, total: Total = None, description: str = "") -> Iterator[Item]:
        """The same items, and progress; see the function `track`."""
        return _track(iterable, total, description, self._outlet())

    def progress(
        self, *, total: Total = None, description: str = "", done_count: int = 0, failed_count: int = 0
    ) -> Progress:
        """Progress that is told by its `Progress.update`, for work that is no loop over items."""
        return Progress(
            total=total,
            description=description,
            done_count=done_count,
            failed_count=failed_count,
            outlet=self._outlet(),
        )


class _Runner:
    interval_seconds = _REPORT_SECONDS

    def __init__(self, report: Report) -> None:
        self._report = report

    def show(self, standing: Standing, *, is_last: bool) -> None:
        self._report(standing.done_count, standing.total_count, standing.failed_count)


class _Lines:
    interval_seconds = _LINE_SECONDS

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def show(self, standing: Standing, *, is_last: bool) -> None:
        if not standing.done_count and standing.total_count is None and not is_last:
            return
        end = f"in {_clock_text(standing.elapsed_seconds)}" if is_last else ""
        text = ", ".join(part for part in (standing.count_text, standing.speed_text) if part)
        start = f"{standing.description}: " if standing.description else ""
        self._stream.write(" ".join(part for part in (start + text, end) if part) + "\n")
        # A log is read while the work goes on.
        self._stream.flush()


class _Nowhere:
    interval_seconds = float("inf")

    def show(self, standing: Standing, *, is_last: bool) -> None:
        """Nobody wants to know."""


def _clock_text(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))
