"""Shows progress as lines, as a bar or to a runner."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import IO, Protocol

from django_runbook import wording
from django_runbook.batch.parts.progress_state import ProgressState
from django_runbook.process.django_internals import raw_stream

# A runner passes this as the stealth option ``progress``; it receives done_count, total_count and failed_count.
Report = Callable[[int, "int | None", int], None]
_REPORT_SECONDS = 0.5
_LINE_SECONDS = 10.0


class ProgressOutput(Protocol):
    """Shows progress, at most every ``interval_seconds`` except for the first and the last time."""

    interval_seconds: float

    def show(self, state: ProgressState, *, is_last: bool) -> None: ...


def default_output(
    *, report: Report | None = None, stream: IO[str] | None = None, no_color: bool = False, verbosity: int = 2
) -> ProgressOutput:
    """Choose the runner if there is one, otherwise nothing, a bar or lines, by the stream and the verbosity."""
    if report is not None:
        return CallbackOutput(report)
    raw: IO[str] = raw_stream(stream) or sys.stderr
    # cron mails every line on standard error, even if nothing is wrong.
    if verbosity == 0 or (verbosity == 1 and not raw.isatty()):
        return NullOutput()
    if not raw.isatty() or os.environ.get("TERM") in {"dumb", "unknown"}:
        return LineOutput(raw)
    # Importing rich takes longer than many commands, so only a bar imports it.
    from django_runbook.batch.parts.progress_bar import ProgressBar

    return ProgressBar(raw, no_color=no_color)


class CallbackOutput:
    """Reports progress to a runner."""

    interval_seconds = _REPORT_SECONDS

    def __init__(self, report: Report) -> None:
        self._report = report

    def show(self, state: ProgressState, *, is_last: bool) -> None:
        self._report(state.done_count, state.total_count, state.failed_count)


class LineOutput:
    """Writes progress as lines of a log."""

    interval_seconds = _LINE_SECONDS

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def show(self, state: ProgressState, *, is_last: bool) -> None:
        if not state.done_count and state.total_count is None and not is_last:
            return
        end = f"in {wording.short_duration(state.elapsed_seconds)}" if is_last else ""
        text = ", ".join(part for part in (state.count_text, state.speed_text) if part)
        start = f"{state.description}: " if state.description else ""
        self._stream.write(" ".join(part for part in (start + text, end) if part) + "\n")
        # A log is read while the command runs.
        self._stream.flush()


class NullOutput:
    """Shows nothing."""

    interval_seconds = float("inf")

    def show(self, state: ProgressState, *, is_last: bool) -> None:
        """Show nothing."""
