"""Reports stops from threads of their own, so that a listener that hangs does not delay a stop."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Final

# The end of a run waits this long for a report, which may hang on a pipe that nobody reads.
_REPORT_SECONDS: Final = 1.0
_REPORT_LEAD_SECONDS: Final = 0.1
_LOGGER = logging.getLogger(__name__)
OnStop = Callable[[str, bool], None]


class StopReports:
    """Calls listeners with the name of a signal and whether the current command ends immediately."""

    def __init__(self) -> None:
        self._threads: list[threading.Thread] = []

    def send(self, on_stop: OnStop | None, signal_name: str, *, is_immediate: bool) -> None:
        """Call the listener, and give it a moment before the stop takes effect."""
        if on_stop is None:
            return
        arguments = (on_stop, signal_name, is_immediate)
        thread = threading.Thread(target=_call, args=arguments, name="runbook-stop-report", daemon=True)
        self._threads.append(thread)
        thread.start()
        thread.join(_REPORT_LEAD_SECONDS)

    def wait(self) -> None:
        """Wait until the listeners have returned."""
        for thread in tuple(self._threads):
            thread.join(_REPORT_SECONDS)


def _call(on_stop: OnStop, name: str, is_immediate: bool) -> None:  # noqa: FBT001 - the arguments of a thread
    try:
        on_stop(name, is_immediate)
    except Exception:
        _LOGGER.exception("The stop could not be reported")
