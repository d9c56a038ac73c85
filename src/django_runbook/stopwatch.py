"""Measures where the time of a run goes, for ``--timings``."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from django_runbook.results import StepResult, Timings

_HISTORY: Final = "history"
_REPORTS: Final = "reports"


class Stopwatch:
    """Measures one run from now on; ``start_up_seconds`` is what its process took before."""

    def __init__(self, *, start_up_seconds: float | None = None) -> None:
        self._start_up_seconds = start_up_seconds
        self._began_at = time.monotonic()
        self._check_seconds = 0.0
        self._seconds = dict.fromkeys((_HISTORY, _REPORTS), 0.0)
        # The branches of a parallel group are measured in threads of their own.
        self._guard = threading.Lock()

    def end_check(self) -> None:
        """Note that the run is prepared: everything is checked, and its locks and its history are open."""
        self._check_seconds = time.monotonic() - self._began_at

    def history(self) -> contextlib.AbstractContextManager[None]:
        """Measure the block as a part of what the history takes."""
        return self._measured(_HISTORY)

    def reports(self) -> contextlib.AbstractContextManager[None]:
        """Measure the block as a part of what the reporters take."""
        return self._measured(_REPORTS)

    @contextlib.contextmanager
    def _measured(self, part: str) -> Iterator[None]:
        began_at = time.monotonic()
        try:
            yield
        finally:
            with self._guard:
                self._seconds[part] += time.monotonic() - began_at

    def timings(self, steps: Iterable[StepResult]) -> Timings:
        """Return the times so far, with those of the commands in ``steps``."""
        commands = (step for step in steps if not step.is_group and not step.is_past)
        return Timings(
            start_up_seconds=self._start_up_seconds,
            check_seconds=self._check_seconds,
            step_seconds=sum(step.duration_seconds for step in commands),
            history_seconds=self._seconds[_HISTORY],
            report_seconds=self._seconds[_REPORTS],
        )


def process_seconds() -> float:
    """Return how long this process has lived; without ``/proc``, how long it has used the processor."""
    if sys.platform != "linux":
        return time.process_time()
    # The name of the program, in parentheses, may hold spaces.
    columns = Path("/proc/self/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    # The 22nd column of the manual; these begin with the third.
    started_at = int(columns[19]) / os.sysconf("SC_CLK_TCK")
    return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - started_at)
