"""Events to the order in which steps stand: below which groups, and which failure explains which."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Final

from django_runbook import events
from django_runbook.events import Event
from django_runbook.reporters import texts
from django_runbook.results import RunStatus, StepResult, StepStatus

# Of a longer loop only the items are listed that have something to tell.
MAX_ITEMS: Final = 12


class Tree:
    """Learns from the events where each step stands; a step that no event told of stands below no group."""

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
        """The groups, loops and runbooks around a step, outermost first."""
        return self._group_ids.get(step_id, ())

    def rows(self, steps: Iterable[StepResult]) -> Iterator[tuple[int, StepResult]]:
        """Each step of a table with how deep it stands: a group before what is in it, and in the order of their starts.

        Left out are handlers that were not due, and items of a long loop that went well.
        """
        listed = [step for step in steps if not texts.is_not_due(step)]
        known = {step.step_id for step in listed}
        telling = self._with_groups(step for step in listed if step.is_failure or step.warnings)
        places = {step_id: place for place, step_id in enumerate(self._group_ids)}
        below: defaultdict[str, list[StepResult]] = defaultdict(list)
        for step in sorted(listed, key=lambda step: places.get(step.step_id, len(places))):
            around = next((group_id for group_id in reversed(self.group_ids(step.step_id)) if group_id in known), "")
            if self._item_counts.get(around, 0) <= MAX_ITEMS or step.step_id in telling:
                below[around].append(step)
        waiting = [(0, step) for step in reversed(below[""])]
        while waiting:
            depth, step = waiting.pop()
            yield depth, step
            waiting += [(depth + 1, inner) for inner in reversed(below[step.step_id])]

    def problems(self, steps: Iterable[StepResult]) -> Iterator[tuple[int, StepResult]]:
        """Yield the rows of a table of what failed, was ignored, or has a warning, and the groups around it."""
        listed = list(steps)
        telling = self._with_groups(step for step in listed if step.is_failure or step.warnings)
        return ((depth, step) for depth, step in self.rows(listed) if step.step_id in telling)

    def has_ignored(self, result: StepResult) -> bool:
        """Whether a step inside a group that succeeded has failed, and was ignored."""
        return result.status is StepStatus.SUCCEEDED and result.step_id in self._ignored

    def status(self, result: StepResult) -> str:
        """Return the status of a step in words: a group with an ignored failure has a warning."""
        return RunStatus.WARNING.value if self.has_ignored(result) else texts.status(result)

    def note(self, result: StepResult) -> str:
        """What stands behind a step in a table."""
        count = self._item_counts.get(result.step_id)
        parts = [texts.items(count)] if count is not None else []
        return "; ".join(part for part in (*parts, texts.note(result), *result.warnings) if part)

    def causes(self, steps: Iterable[StepResult]) -> list[tuple[StepResult, bool]]:
        """The failures that no failure below them explains, each with whether it is ignored, if only by a group around.

        A group fails by its own where nothing in it did: its lock was held, or its ``until`` did not come true.
        """
        failed = [step for step in steps if step.is_failure]
        ignored = {step.step_id for step in failed if step.ignored}
        explained: set[str] = set()
        for step in failed:
            if not step.ignored:
                explained |= self._explained_by(step, ignored)
        return [
            (step, bool(ignored.intersection((step.step_id, *self.group_ids(step.step_id)))))
            for step in failed
            if step.step_id not in explained
        ]

    def _explained_by(self, step: StepResult, ignored: set[str]) -> set[str]:
        group_ids = self.group_ids(step.step_id)[::-1]
        end = next((place for place, group_id in enumerate(group_ids) if group_id in ignored), len(group_ids))
        return set(group_ids[: end + 1])

    def _with_groups(self, steps: Iterable[StepResult]) -> set[str]:
        return {step_id for step in steps for step_id in (step.step_id, *self.group_ids(step.step_id))}
