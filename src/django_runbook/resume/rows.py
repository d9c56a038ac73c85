"""Reads the rows of an unfinished run: how each step ended, and how often its command was called."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from typing import Final

from django_runbook.document.expressions import ExpressionError
from django_runbook.models import RUNNING, Run, StepRun
from django_runbook.process.stop_requests import STOPPED
from django_runbook.results import Failure, Role, StepResult, StepStatus
from django_runbook.runner.past import PastStep
from django_runbook.runner.policy import UNTIL, UNTIL_NOT_MET
from django_runbook.structs import MutableStruct, field

_SUCCEEDED, _SKIPPED = StepStatus.SUCCEEDED.value, StepStatus.SKIPPED.value
_FAILED: Final = frozenset((StepStatus.FAILED.value, StepStatus.TIMED_OUT.value))
# The errors of a step whose command succeeded: its `until` is not true yet, or has no value.
_UNTIL_ERRORS: Final = frozenset((UNTIL_NOT_MET, ExpressionError.__name__))
_ROWS_OF_A_QUERY: Final = 500
_INTERRUPTED: Final = frozenset((RUNNING, StepStatus.INTERRUPTED.value))
_UNSUCCESSFUL: Final = _FAILED | {StepStatus.INTERRUPTED.value}


class RunRows(MutableStruct):
    """Collects the rows of a run: for each step the latest row, and the facts that any of its rows proves.

    ``latest`` is in the order in which the steps began and excludes the steps inside a group that starts over;
    ``kinds`` has all steps. ``handlers`` are separate because they always run again. ``attempts`` includes the
    handlers, and ``calls`` counts only the calls in the latest attempt of the run.
    """

    latest: dict[str, StepRun] = field(default_factory=dict)
    kinds: dict[str, str] = field(default_factory=dict)
    handlers: dict[str, StepRun] = field(default_factory=dict)
    attempts: dict[str, int] = field(default_factory=dict)
    calls: dict[str, int] = field(default_factory=dict)
    succeeded: Counter[str] = field(default_factory=Counter)
    # A later attempt of the run may have ended before it reached these steps again.
    started: set[str] = field(default_factory=set)
    loops: set[str] = field(default_factory=set)

    def add(self, row: StepRun) -> None:
        """Add the next row, in the order in which they were written."""
        step_id, before = row.step_id, self.latest.get(row.step_id)
        self.attempts[step_id] = row.attempt
        is_waiting = row.status in _FAILED and row.error_type in _UNTIL_ERRORS
        self.succeeded[step_id] += row.status == _SUCCEEDED or is_waiting
        if row.role != Role.STEP:
            self.handlers[step_id] = row
            return
        self.kinds[step_id] = row.kind
        is_same_run_attempt = before is not None and before.run_attempt == row.run_attempt
        if row.kind != "command" and (is_same_run_attempt or (before is not None and starts_over(before))):
            # A retry of a group begins with its first step.
            self.forget_inside(step_id)
        is_called = row.started_at is not None
        if is_called:
            self.started.add(step_id)
            if row.kind == "loop":
                self.loops.add(step_id)
        elif before is not None and was_interrupted(before):
            # A run that did not reach the step again proves nothing about the interrupted call.
            return
        self.calls[step_id] = (self.calls.get(step_id, 0) if is_same_run_attempt else 0) + is_called
        self.latest[step_id] = row

    def forget_inside(self, group_id: str) -> None:
        """Remove the steps inside a group that starts over."""
        for step_id in [one for one, row in self.latest.items() if group_id in row.group_ids]:
            del self.latest[step_id]
            self.started.discard(step_id)
            self.loops.discard(step_id)

    def past(self, step_id: str) -> PastStep:
        """Return the result and the output of a step."""
        return _past(self.latest[step_id], attempt_count=self.calls[step_id])

    def has_failed_handler_in(self, group_ids: Collection[str]) -> bool:
        """Return whether a handler of one of these groups failed or lost its worker: a warning, even if ignored."""
        return any(
            row.status in _UNSUCCESSFUL and not set(row.group_ids).isdisjoint(group_ids)
            for row in self.handlers.values()
        )


def read_rows(run: Run, *, using: str, needs_output: Callable[[str], bool]) -> RunRows:
    """Read all rows of a run, with the captured outputs of the steps that need theirs, by id.

    Captured outputs may fill the memory of the process; a past step without a needed one has none.
    """
    found = RunRows()
    for row in (
        StepRun.objects.using(using).filter(run=run).order_by("pk").defer("output", "output_head", "output_tail")
    ):
        found.add(row)
    done = {step_id for step_id, row in found.latest.items() if is_done(row)}
    for step_id, row in tuple(found.latest.items()):
        if starts_over(row) and done.isdisjoint(row.group_ids):
            found.forget_inside(step_id)
    _read_outputs(found.latest, using=using, needs_output=needs_output)
    return found


def _read_outputs(latest: Mapping[str, StepRun], *, using: str, needs_output: Callable[[str], bool]) -> None:
    needed: dict[int, StepRun] = {}
    for step_id, row in latest.items():
        if row.status == _SUCCEEDED and needs_output(step_id):
            needed[row.pk] = row
        else:
            # Otherwise the first use of the column would read it.
            row.output = None
    pks = list(needed)
    for start in range(0, len(pks), _ROWS_OF_A_QUERY):
        found = StepRun.objects.using(using).filter(pk__in=pks[start : start + _ROWS_OF_A_QUERY])
        for pk, output in found.values_list("pk", "output"):
            needed[pk].output = output


def is_done(row: StepRun) -> bool:
    """Return whether a step is not run again: it succeeded, was skipped, or its failure was ignored."""
    if row.status == _SKIPPED:
        return row.reason != STOPPED
    return row.status == _SUCCEEDED or (row.status in _FAILED and row.ignored)


def has_no_result(row: StepRun) -> bool:
    """Return whether a step was interrupted, or its process died while it was running."""
    return row.status in _INTERRUPTED


def was_interrupted(row: StepRun) -> bool:
    """Return whether a step was interrupted after it had begun."""
    return has_no_result(row) and row.started_at is not None


def starts_over(row: StepRun) -> bool:
    """Return whether a group starts over: its own ``until`` stayed false, so the results inside it are void."""
    is_own = row.error_type == UNTIL_NOT_MET and row.message.startswith(UNTIL)
    return row.kind != "command" and is_own and not is_done(row)


def _past(row: StepRun, *, attempt_count: int) -> PastStep:
    failure = None
    if row.status in _FAILED:
        failure = Failure(error_type=row.error_type, message=row.message, exit_code=row.exit_code or 1)
    result = StepResult(
        step_id=row.step_id,
        name=row.name,
        status=StepStatus(row.status),
        ignored=row.ignored,
        attempt_count=attempt_count,
        failure=failure,
        reason=row.reason,
        warnings=tuple(row.warnings),
        is_group=row.kind != "command",
        file=row.file,
        line=row.line,
    )
    # A failed attempt may have stored an output, which is not the output of the step.
    has_output = row.output is not None and row.status == _SUCCEEDED
    return PastStep(
        result=result,
        output=row.output[0] if has_output else None,
        has_output=has_output,
        is_until_open=row.status == _SUCCEEDED and row.finished_at is None,
    )
