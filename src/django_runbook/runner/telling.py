"""What becomes of steps to events, to the results of a run, and to what later expressions see."""

from __future__ import annotations

import datetime
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from django_runbook import events
from django_runbook.document.outline import lists_of
from django_runbook.document.runbook import Block, CallStep, CommandStep, GroupStep, Step
from django_runbook.exceptions import RunbookError
from django_runbook.results import Role, StepResult, StepStatus
from django_runbook.runner import outcomes
from django_runbook.runner.recording import NoRecorder, Recorder
from django_runbook.runner.scope import Scope

NO_ITEMS: Final = "for_each: there are no items"
# What a loop without items gives to expressions: it has been through all of them.
EMPTY: Final[Mapping[str, object]] = {"results": [], "output": []}


class Teller:
    """Keeps the results of a run, and emits everything that happens, from any thread.

    ``fault`` is what kept an event from being recorded: the run then comes to its end. ``restore`` finishes a step as
    it ended in an earlier attempt of the run, where it did.
    """

    def __init__(
        self, emit: events.Listener, clock: Callable[[], datetime.datetime], recorder: Recorder | None = None
    ) -> None:
        self.results: dict[str, StepResult] = {}
        self.fault: RunbookError | None = None
        self.restore: Callable[[Step, Scope], StepResult | None] = lambda step, scope: None
        self._emit = emit
        self._clock = clock
        self._recorder = recorder or NoRecorder()
        # The branches of a parallel group end steps at the same time.
        self._lock = threading.Lock()

    def tell(self, kind: type[events.Event], **values: Any) -> None:
        """Emit an event of this kind, which happens now."""
        try:
            self._emit(kind(at=self._clock(), **values))
        except RunbookError as error:
            self.lose(error)

    def wait(self) -> None:
        """Wait until everything so far is recorded."""
        try:
            self._recorder.wait()
        except RunbookError as error:
            self.lose(error)

    def lose(self, error: RunbookError) -> None:
        """Note what keeps the run from being recorded; the first such error stays."""
        self.fault = self.fault or error

    def fault_before(self, scope: Scope) -> RunbookError | None:
        """What keeps a step from being run, of which nobody would know; what cleans up runs all the same."""
        return self.fault if scope.role is Role.STEP else None

    def start(self, step: Step, scope: Scope, name: str, **more: Any) -> None:
        """A step begins to run."""
        self.tell(
            events.StepStarted,
            step_id=scope.id(step),
            name=name,
            group_ids=scope.group_ids,
            role=scope.role,
            is_concurrent=scope.is_concurrent,
            file=scope.file,
            line=step.span.line,
            **more,
        )

    def finish(
        self, step: Step, scope: Scope, result: StepResult, seen: Mapping[str, object], *, is_told: bool = True
    ) -> StepResult:
        """A step has its result; ``seen`` is what expressions see of it besides.

        What nobody is told of, a handler that is not due, hides nothing that it did in an earlier attempt of its group.
        """
        scope.views[step.id] = outcomes.view_of(result.step_id, status=result.status, result=result, **seen)
        with self._lock:
            if is_told or result.step_id not in self.results:
                # A step that runs again, because its group is retried, stands where it ended last.
                self.results.pop(result.step_id, None)
                self.results[result.step_id] = result
        if is_told:
            self.tell(events.StepFinished, result=result, group_ids=scope.group_ids)
        return result

    def leave(
        self,
        step: Step,
        scope: Scope,
        status: StepStatus,
        *,
        reason: str,
        label: str | None = None,
        is_told: bool = True,
    ) -> StepResult:
        """Finish a step without running it, and all that stands in it; of a loop nobody knows the items.

        What is done stays done. ``label`` is that of an item.
        """
        if is_told and (past := self.restore(step, scope)) is not None:
            return past
        name = step.name if isinstance(step.name, str) else step.id
        is_loop = step.for_each is not None and label is None
        result = StepResult(
            step_id=scope.id(step),
            name=f"{name} ({label})" if label else name,
            status=status,
            role=scope.role,
            reason=reason,
            is_group=is_loop or not isinstance(step, CommandStep),
            file=scope.file,
            line=step.span.line,
        )
        self.finish(step, scope, result, EMPTY if reason == NO_ITEMS else {}, is_told=is_told)
        if not is_loop:
            inner = scope.inside(result.step_id)
            if isinstance(step, GroupStep):
                self.leave_block(step.block, inner, status, reason=reason, is_told=is_told)
            elif isinstance(step, CallStep):
                inner = replace(inner, views={}, prefix=f"{scope.key(step)}/", file=step.runbook.path)
                self.leave_block(step.runbook.block, inner, status, reason=reason, is_told=is_told)
        return result

    def leave_block(self, block: Block, scope: Scope, status: StepStatus, *, reason: str, is_told: bool) -> None:
        """Finish all steps of a block without running them; of handlers nobody is told."""
        for role, steps in lists_of(block, scope.role):
            own = replace(scope, role=role)
            for step in steps:
                self.leave(step, own, status, reason=reason, is_told=is_told and steps is block.steps)
