"""Shortens the pauses between the looks of a run and of a worker at a call, which most tests only wait for.

The rounds of `tests.queues.killing` that are many keep the pauses of a real run.
"""

from __future__ import annotations

from typing import Any, Final

# Set for processes that take the shorter pauses.
VARIABLE: Final = "QUEUES_IS_HASTY"


def look_more_often() -> None:
    """Have this process, and those that are forked from it, look sooner for what has happened."""
    from django_runbook.queues import call_ending, call_liveness, call_monitor, call_watcher, refused_calls

    modules: tuple[tuple[Any, dict[str, float]], ...] = (
        (call_ending, {"_BETWEEN_PROBES_SECONDS": 0.5}),
        (call_liveness, {"_QUIET_SECONDS": 0.5, "_PROBES": 8}),
        (call_monitor, {"_SLOWEST_SECONDS": 0.2}),
        (call_watcher, {"_INTERVAL_SECONDS": 0.2}),
        (refused_calls, {"_MAX_PAUSE_SECONDS": 0.5}),
    )
    for module, pauses in modules:
        assert pauses.keys() <= vars(module).keys()
        vars(module).update(pauses)
