"""Decides when a call that workers with other code refuse is sent again, and when it fails."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from django_runbook.exceptions import OtherVersion
from django_runbook.models.calls import Call
from django_runbook.process.failures import named_failure
from django_runbook.results import AttemptResult, StepStatus
from django_runbook.structs import MutableStruct
from django_runbook.wording import exact_duration

# A queue gives each message to one worker, which may be one with other code each time.
_MAX_PAUSE_SECONDS: Final = 15.0


class _Refused(MutableStruct):
    """Counts the refusals of a call since ``since``, None if a worker has claimed it in between."""

    since: float | None = None
    count: int = 0
    seen_count: int = 0


class RefusedCalls:
    """Lets each refused call wait for a worker with the code of its run, for ``wait_seconds`` after its first refusal.

    ``on_first`` is called once in a run, with a text for the person who waits. All times are of this host.
    """

    def __init__(self, *, wait_seconds: float, on_first: Callable[[str], None]) -> None:
        self._wait_seconds = wait_seconds
        self._on_first = on_first
        self._has_reported = False
        self._refused: dict[str, _Refused] = {}

    def note(self, row: Call) -> float | None:
        """Return after how many seconds the message of a queued call is sent again; None without a new refusal."""
        known = self._refused.setdefault(row.pk, _Refused())
        if row.refusal_count == known.seen_count:
            return None
        if known.since is None:
            known.since = time.monotonic()
        known.seen_count = row.refusal_count
        known.count += 1
        if not self._has_reported:
            self._has_reported = True
            self._on_first(
                f"{_difference(row)}: the worker has refused a call, which waits for another worker, "
                f"as each such call does, for at most {exact_duration(self._wait_seconds)}"
            )
        return min(_MAX_PAUSE_SECONDS, 2.0 ** min(known.count - 1, 4))

    def note_claim(self, row: Call) -> None:
        """Note that a worker with the right code has the call: if it returns the call, the wait starts over."""
        self._refused[row.pk] = _Refused(seen_count=row.refusal_count)

    def failure_of(self, row: Call) -> AttemptResult | None:
        """Return the result of a queued call that has waited too long; None to let it wait."""
        known = self._refused.get(row.pk)
        if known is None or known.since is None or time.monotonic() < known.since + self._wait_seconds:
            return None
        message = (
            f"no worker with the code of the run took the call within {exact_duration(self._wait_seconds)}: "
            f"{_difference(row)}"
        )
        return AttemptResult(status=StepStatus.FAILED, failure=named_failure(OtherVersion, message))


def _difference(row: Call) -> str:
    return f'a worker has the code "{row.refused_version}", and the run has "{row.version}"'
