"""What happens during a run, as values: the runner emits them and knows nothing of who listens.

All text in an event is masked already and free of control characters, so that a listener can write it anywhere.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from django_runbook.results import Failure, Role, RunResult, StepResult


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """``at`` is the time of the event, aware, in UTC.

    ``clock_seconds`` is what the monotonic clock says then: durations are differences of it, since ``at`` may go back.
    """

    at: datetime
    clock_seconds: float = field(default_factory=time.monotonic)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted(Event):
    """``step_count`` counts the commands of the file that are selected, without those of handlers.

    ``inline_reason`` says why all steps run in the process of the run, and is empty where they do not. ``attempt`` is 1
    unless the run is resumed; ``done_count`` counts the commands that earlier attempts have completed.
    """

    run_id: str
    name: str
    file: str
    step_count: int
    dry_run: bool = False
    inline_reason: str = ""
    attempt: int = 1
    done_count: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class StepStarted(Event):
    """A step is about to run. ``group_ids`` are the groups around it, outermost first.

    ``argv`` begins with the command's name; it is None for a group, and shows ``***`` under ``no_log``. A loop is a
    group of ``item_count`` items. ``is_concurrent`` tells that other steps run at the same time.
    """

    step_id: str
    name: str
    group_ids: tuple[str, ...] = ()
    role: Role = Role.STEP
    argv: tuple[str, ...] | None = None
    item_count: int | None = None
    is_concurrent: bool = False
    file: str = ""
    line: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmationRequested(Event):
    """A question is about to be put to the person at the terminal: a reporter writes nothing there until its end."""

    step_id: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmationEnded(Event):
    """The question has its answer, or nobody is there any more to give one."""

    step_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LockAwaited(Event):
    """A lock is held by another run, and is waited for; ``step_id`` is empty for the lock of the run itself.

    ``holder`` is empty while what keeps the locks cannot be reached; ``reason`` says why then.
    """

    step_id: str
    name: str
    holder: str
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryAwaited(Event):
    """The database of the history is away or busy, and is waited for."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LockRetaken(Event):
    """A lock of the run was lost, for example with its connection, and acquired again before anybody else had it."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepOutputWritten(Event):
    """One line of a step's output; ``stream`` is ``stdout`` or ``stderr``."""

    step_id: str
    stream: str
    line: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepProgress(Event):
    """How far a command says it is; ``total_count`` is None where it does not know."""

    step_id: str
    done_count: int
    total_count: int | None
    failed_count: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptStarted(Event):
    """Another attempt begins; the first one begins with the step."""

    step_id: str
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptFailed(Event):
    """An attempt failed and another one follows after ``delay_seconds``."""

    step_id: str
    attempt: int
    attempt_count: int
    delay_seconds: float
    failure: Failure


@dataclass(frozen=True, slots=True, kw_only=True)
class StepFinished(Event):
    """A step, or a group, has its result; emitted for steps that were skipped or not run too."""

    result: StepResult
    group_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StopRequested(Event):
    """A signal asked the run to stop; ``is_immediate`` says that the current command is being ended now."""

    signal_name: str
    is_immediate: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFinished(Event):
    result: RunResult


Listener = Callable[[Event], None]
