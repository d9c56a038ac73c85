"""Describes what earlier attempts of a run have completed, so that this attempt does not repeat it."""

from __future__ import annotations

from collections.abc import Mapping

from django_runbook.results import StepResult
from django_runbook.structs import Struct, field


class PastStep(Struct):
    """Holds the result of a step in an earlier attempt of the run, and the output that later expressions read.

    With ``is_until_open`` its work was committed, but the run ended before `until` was evaluated.
    """

    result: StepResult
    output: object = None
    has_output: bool = False
    is_until_open: bool = False


class PastItem(Struct):
    """Identifies a loop item that an earlier attempt of the run started or completed."""

    name: str
    item_hash: str


class Past(Struct):
    """Holds the results of earlier attempts of a run, by step id; the id of a step in a loop includes its item number.

    ``done`` steps do not run again, and neither do the other steps inside a completed group, which are in
    ``done_inside``. The conditions of ``started`` steps were decided then and are not evaluated again.
    ``succeeded_counts`` counts how often the command of each step has succeeded: more than once if its group was
    retried. ``items`` holds the items of loops, by the ids of their steps, and ``open_calls`` the ids of the
    calls on workers that may still run, or have ended since.
    """

    done: Mapping[str, PastStep] = field(default_factory=dict)
    done_inside: Mapping[str, PastStep] = field(default_factory=dict)
    started: frozenset[str] = frozenset()
    succeeded_counts: Mapping[str, int] = field(default_factory=dict)
    items: Mapping[str, PastItem] = field(default_factory=dict)
    has_failed_handler: bool = False
    open_calls: Mapping[str, str] = field(default_factory=dict)
