"""Collects the figures of the steps of a run from its events."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sized

from django_runbook import events
from django_runbook.document.outline import key_of
from django_runbook.forecasts.figures import ITEMS, MAX_STEPS, StepFigures, figures_key
from django_runbook.results import StepResult, StepStatus
from django_runbook.structs import MutableStruct, field, replace


class Collector(MutableStruct):
    """Listens to the events of a run; ``steps`` has the figures of ended steps, with those of a loop's items as one.

    ``captured`` returns the captured output of a step, as a list with one value, or None. The user left out the steps
    ``unselected``: it says nothing about them that they were skipped.
    """

    definition_of: Callable[[str], str]
    captured: Callable[[str], list[object] | None]
    unselected: frozenset[str] = frozenset()
    steps: dict[str, StepFigures] = field(default_factory=dict)
    _rows: dict[str, int] = field(default_factory=dict)
    _characters: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))

    def add(self, event: events.Event) -> None:
        """Note an event."""
        match event:
            case events.StepOutputWritten():
                self._characters[event.step_id] += len(event.line)
            case events.StepProgress():
                self._rows[event.step_id] = event.done_count
            case events.StepFinished():
                self._end(event.result)

    def _end(self, result: StepResult) -> None:
        characters, rows = self._characters.pop(result.step_id, 0), self._rows.pop(result.step_id, None)
        key = figures_key(result.step_id)
        if key not in self.steps and len(self.steps) >= MAX_STEPS:
            return
        is_command = not result.is_group and result.attempt_count > 0
        captured = self.captured(result.step_id) if is_command else None
        figures = StepFigures(
            definition=self.definition_of(result.step_id),
            status=(StepStatus.NOT_RUN if key_of(result.step_id) in self.unselected else result.status).value,
            seconds=result.duration_seconds if result.attempt_count or result.is_group else None,
            rows=rows if is_command else None,
            output_size=characters if is_command else None,
            captured_size=_size_of(captured),
        )
        before = self.steps.get(key) if key.endswith(ITEMS) else None
        self.steps[key] = figures if before is None else _together(before, figures)


def _together(one: StepFigures, other: StepFigures) -> StepFigures:
    """Return the figures of several items of a loop."""
    statuses = [figures.status for figures in (one, other)]
    worst = next((status for status in statuses if status != StepStatus.SUCCEEDED), StepStatus.SUCCEEDED.value)
    return replace(
        other,
        status=worst,
        seconds=max((value for value in (one.seconds, other.seconds) if value is not None), default=None),
        rows=_sum(one.rows, other.rows),
        output_size=_sum(one.output_size, other.output_size),
        captured_size=_sum(one.captured_size, other.captured_size),
    )


def _sum(one: int | None, other: int | None) -> int | None:
    return None if one is None and other is None else (one or 0) + (other or 0)


def _size_of(captured: list[object] | None) -> int | None:
    """Return the length of a captured list or mapping."""
    value = captured[0] if captured else None
    return len(value) if isinstance(value, Sized) and not isinstance(value, str) else None
