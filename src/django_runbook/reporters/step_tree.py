"""Arranges steps below their groups, and finds the failures that explain the others."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Final

from django_runbook import events, wording
from django_runbook.causes import causes_of
from django_runbook.events import Event
from django_runbook.reporters import phrases
from django_runbook.results import RunStatus, StepResult, StepStatus

# Of a longer loop, only items with a failure or a warning are listed.
MAX_ITEMS: Final = 12


class Tree:
    """Learns the groups of each step from the events; a step without an event is at the top level."""

    def __init__(self) -> None:
        self._group_ids: dict[str, tuple[str, ...]] = {}
        self._item_counts: dict[str, int] = {}
        self._ignored: set[str] = set()

    def add(self, event: Event) -> None:
        match event:
            case events.StepFinished() if event.result.ignored:
                self._ignored.update(event.group_ids)
                self._group_ids.setdefault(event.result.step_id, event.group_ids)
            case events.StepStarted():
                self._group_ids.setdefault(event.step_id, event.group_ids)
                if event.item_count is not None:
                    self._item_counts[event.step_id] = event.item_count
            case events.StepFinished():
                self._group_ids.setdefault(event.result.step_id, event.group_ids)

    def group_ids(self, step_id: str) -> tuple[str, ...]:
        """Return the IDs of the groups, loops and runbooks around a step, outermost first."""
        return self._group_ids.get(step_id, ())

    def rows(self, steps: Iterable[StepResult]) -> Iterator[tuple[int, StepResult]]:
        """Yield the rows of a table with their depth: each group before its steps, in the order in which they started.

        Handlers that were not due and the successful items of a long loop are omitted.
        """
        listed = [step for step in steps if not phrases.is_not_due(step)]
        known = {step.step_id for step in listed}
        notable = self._with_groups(step for step in listed if step.is_failure or step.warnings)
        places = {step_id: place for place, step_id in enumerate(self._group_ids)}
        children: defaultdict[str, list[StepResult]] = defaultdict(list)
        for step in sorted(listed, key=lambda step: places.get(step.step_id, len(places))):
            parent_id = next((group_id for group_id in reversed(self.group_ids(step.step_id)) if group_id in known), "")
            if self._item_counts.get(parent_id, 0) <= MAX_ITEMS or step.step_id in notable:
                children[parent_id].append(step)
        waiting = [(0, step) for step in reversed(children[""])]
        while waiting:
            depth, step = waiting.pop()
            yield depth, step
            waiting += [(depth + 1, inner) for inner in reversed(children[step.step_id])]

    def problems(self, steps: Iterable[StepResult]) -> Iterator[tuple[int, StepResult]]:
        """Yield only the rows with a failure or a warning, and the groups around them."""
        listed = list(steps)
        notable = self._with_groups(step for step in listed if step.is_failure or step.warnings)
        return ((depth, step) for depth, step in self.rows(listed) if step.step_id in notable)

    def has_ignored(self, result: StepResult) -> bool:
        """Return whether a failure inside a group that succeeded was ignored."""
        return result.status is StepStatus.SUCCEEDED and result.step_id in self._ignored

    def status(self, result: StepResult) -> str:
        """Return the displayed status of a step: ``warning`` for a group with an ignored failure."""
        return RunStatus.WARNING.value if self.has_ignored(result) else phrases.status(result)

    def note(self, result: StepResult) -> str:
        """Return the note on a step in a table."""
        count = self._item_counts.get(result.step_id)
        parts = [wording.number_of(count, "item")] if count is not None else []
        return "; ".join(part for part in (*parts, phrases.note(result), *result.warnings) if part)

    def causes(self, steps: Iterable[StepResult]) -> list[tuple[StepResult, bool]]:
        """Return the failures that no inner failure explains, each with whether it or a group around it is ignored.

        A group is among them if nothing inside it failed, for example because its lock was held.
        """
        failed = {step.step_id: step for step in steps if step.is_failure}
        ignored = {step.step_id for step in failed.values() if step.ignored}
        found = causes_of({step_id: self.group_ids(step_id) for step_id in failed}, ignored=ignored)
        return [(failed[step_id], is_ignored) for step_id, is_ignored in found.items()]

    def _with_groups(self, steps: Iterable[StepResult]) -> set[str]:
        return {step_id for step in steps for step_id in (step.step_id, *self.group_ids(step.step_id))}
