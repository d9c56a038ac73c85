"""Defines the events of a run, which the runner emits without knowing the listeners.

Listeners receive all text masked and free of control characters, so they can write it anywhere.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime

from django_runbook.results import Failure, Role, RunResult, StepResult
from django_runbook.row_account import RowAccount
from django_runbook.structs import Struct, field


class Event(Struct):
    """Carries its time in ``at``, aware and in UTC.

    ``clock_seconds`` is the monotonic time, for durations: ``at`` may go back when the clock is set.
    """

    at: datetime
    clock_seconds: float = field(default_factory=time.monotonic)


class RunStarted(Event):
    """Opens the events of a run; ``step_count`` is the number of selected commands, without handlers.

    ``inline_reason`` is the reason why all steps run in-process, empty if they do not. ``attempt`` is 1 unless the run
    is resumed; ``done_count`` is the number of commands that earlier attempts completed.
    """

    run_id: str
    name: str
    file: str
    step_count: int
    dry_run: bool = False
    inline_reason: str = ""
    attempt: int = 1
    done_count: int = 0


class StepStarted(Event):
    """Reports that a step is about to run; ``group_ids`` are the groups around it, outermost first.

    ``argv`` starts with the name of the command; it is None for a group, and contains ``***`` with ``no_log``. A loop
    is a group with an ``item_count``. ``is_concurrent`` is true if other steps may run at the same time.
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


class ConfirmationRequested(Event):
    """Announces a question at the terminal: a reporter writes nothing there until `ConfirmationEnded`."""

    step_id: str
    text: str


class ConfirmationEnded(Event):
    """Reports that the question was answered or abandoned."""

    step_id: str


class LockAwaited(Event):
    """Reports that the run waits for a lock; ``step_id`` is empty for the lock of the run itself.

    ``holder`` is empty while the lock store is unavailable; ``reason`` then describes the problem.
    """

    step_id: str
    name: str
    holder: str
    reason: str = ""


class HistoryAwaited(Event):
    """Reports that the run waits for the database of the run history, which is unavailable or busy."""

    reason: str


class LockRetaken(Event):
    """Reports a lock that was lost, for example with its connection, and acquired again before any other process."""

    name: str


class ForecastMade(Event):
    """Reports what the run usually takes by its history: the median, and the 95th percentile of ``run_count`` runs.

    ``end_at`` is when it would end then, in the time zone of the project.
    """

    usual_seconds: float
    most_seconds: float
    run_count: int
    end_at: datetime


class UnusualNoticed(Event):
    """Reports that a step is unlike those of earlier runs; ``kind`` is slow, rows, output or skipped."""

    step_id: str
    kind: str
    text: str


class StepQueued(Event):
    """Reports that a step waits for a worker of a queue."""

    step_id: str
    queue: str


class StepClaimed(Event):
    """Reports that a worker has taken a step; ``pid`` is its process on ``host``."""

    step_id: str
    host: str
    pid: int


class StepOutputWritten(Event):
    """Carries one line of a step's output; ``stream`` is ``stdout`` or ``stderr``."""

    step_id: str
    stream: str
    line: str


class StepProgress(Event):
    """Carries the progress that a command reports; ``total_count`` is None if it is unknown."""

    step_id: str
    done_count: int
    total_count: int | None
    failed_count: int = 0


class AttemptStarted(Event):
    """Reports the start of each attempt but the first, which starts with the step."""

    step_id: str
    attempt: int


class AttemptFailed(Event):
    """Reports an attempt that failed, and that another one follows after ``delay_seconds``.

    ``row_account`` has the rows that it changed nevertheless.
    """

    step_id: str
    attempt: int
    attempt_count: int
    delay_seconds: float
    failure: Failure
    row_account: RowAccount | None = None


class StepFinished(Event):
    """Reports the result of a step or a group, also if it was skipped or not run."""

    result: StepResult
    group_ids: tuple[str, ...] = ()


class StopRequested(Event):
    """Reports a signal that asks the run to stop; ``is_immediate`` means that the current command is ended now."""

    signal_name: str
    is_immediate: bool


class RunFinished(Event):
    result: RunResult


Listener = Callable[[Event], None]
