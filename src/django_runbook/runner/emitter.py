"""Emits the events of a run and collects the results that later expressions can read."""

from __future__ import annotations

import contextlib
import datetime
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from django_runbook import events
from django_runbook.document.runbook import Step
from django_runbook.exceptions import RunbookError
from django_runbook.results import Role, StepResult
from django_runbook.runner import outcomes
from django_runbook.runner.recorder import NoRecorder, Recorder
from django_runbook.runner.step_scope import Scope

if TYPE_CHECKING:
    from django_runbook.stopwatch import Stopwatch


class Emitter:
    """Emits events from any thread, and keeps the results of all steps.

    ``error`` is the first one that kept an event from being recorded: no further step starts then.
    """

    def __init__(
        self,
        emit: events.Listener,
        clock: Callable[[], datetime.datetime],
        recorder: Recorder | None = None,
        *,
        stopwatch: Stopwatch | None = None,
    ) -> None:
        self.results: dict[str, StepResult] = {}
        self.error: RunbookError | None = None
        self.has_failed_handler = False
        self.failed_handler: StepResult | None = None
        self._emit = emit
        self._clock = clock
        self._recorder = recorder or NoRecorder()
        self._stopwatch = stopwatch
        # The branches of a parallel group end steps at the same time.
        self._lock = threading.Lock()

    @property
    def has_warnings(self) -> bool:
        return self.has_failed_handler or any(result.ignored for result in self.results.values())

    @property
    def warned_by(self) -> StepResult | None:
        """Return the failed step that makes a run a warning: a handler, or the first ignored one."""
        return self.failed_handler or next((result for result in self.results.values() if result.ignored), None)

    def note_failed_handler(self, result: StepResult) -> None:
        """Keep the first handler whose failure nothing ignores."""
        self.has_failed_handler = True
        self.failed_handler = self.failed_handler or result

    def emit(self, kind: type[events.Event], **values: Any) -> None:
        """Emit an event of this kind, dated now."""
        try:
            self._emit(kind(at=self._clock(), **values))
        except RunbookError as error:
            self.note_error(error)

    def wait(self) -> None:
        """Wait until all events so far are recorded."""
        try:
            with self._measured():
                self._recorder.wait()
        except RunbookError as error:
            self.note_error(error)

    def is_recorded(self) -> bool:
        """Return whether all events so far are recorded, so that the run can be resumed."""
        with self._measured():
            return self._recorder.is_recorded()

    def _measured(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext() if self._stopwatch is None else self._stopwatch.history()

    def note_error(self, error: RunbookError) -> None:
        """Keep the error that prevents recording, unless there was one before."""
        self.error = self.error or error

    def raise_error(self) -> None:
        if self.error is not None:
            raise self.error

    def error_before(self, scope: Scope) -> RunbookError | None:
        """Return the error that keeps a step from starting; handlers and ``finally`` run anyway."""
        return self.error if scope.role is Role.STEP else None

    def start(self, step: Step, scope: Scope, name: str, **more: Any) -> None:
        """Emit the start of a step."""
        self.emit(
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
        self, step: Step, scope: Scope, result: StepResult, seen: Mapping[str, object], *, is_emitted: bool = True
    ) -> StepResult:
        """Keep and emit the result of a step; ``seen`` are the attributes that only expressions read.

        A result that is not emitted, such as that of an idle handler, never replaces one of an earlier attempt.
        """
        scope.views[step.id] = outcomes.view_of(result.step_id, status=result.status, result=result, **seen)
        with self._lock:
            if is_emitted or result.step_id not in self.results:
                # A step of a retried group moves to where it ended last.
                self.results.pop(result.step_id, None)
                self.results[result.step_id] = result
        if is_emitted:
            self.emit(events.StepFinished, result=result, group_ids=scope.group_ids)
        return result
