"""Defines the statuses, the failures and the results of steps and runs, the exit codes, and what to notify of."""

from __future__ import annotations

import enum

from django_runbook.row_account import RowAccount
from django_runbook.structs import Struct


class StepStatus(enum.StrEnum):
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    SKIPPED = "skipped"
    INTERRUPTED = "interrupted"
    NOT_RUN = "not_run"


class RunStatus(enum.StrEnum):
    SUCCEEDED = "succeeded"
    WARNING = "warning"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    REFUSED = "refused"


class Occasion(enum.StrEnum):
    """Names what a reporter is notified of, as the setting ``ON`` lists it.

    ``failure`` includes stopped runs, and refused ones that do not exit with 0. ``recovery`` is the first run that did
    not fail after one that did.
    """

    START = "start"
    SUCCESS = "success"
    WARNING = "warning"
    FAILURE = "failure"
    RECOVERY = "recovery"
    UNUSUAL = "unusual"


class ExitCode(enum.IntEnum):
    """Lists the exit codes of ``run_runbook``."""

    SUCCEEDED = 0
    FAILED = 1
    INVALID = 2
    INTERNAL_ERROR = 3
    LOCK_HELD = 75
    TIMED_OUT = 124
    INTERRUPTED_BY_SIGHUP = 129
    INTERRUPTED_BY_SIGINT = 130
    INTERRUPTED_BY_SIGTERM = 143


class Role(enum.StrEnum):
    """Names the list of its group, or of the file, that a step is in."""

    STEP = "step"
    ON_SUCCESS = "on_success"
    ON_FAILURE = "on_failure"
    FINALLY = "finally"


class Failure(Struct):
    """Describes why an attempt failed.

    ``error_names`` are the names of the exception's class and its bases, most derived first, each with and without its
    module. ``exit_code`` is the exit code that ``manage.py`` would have had. ``cause`` names the failed step inside a
    group.
    """

    error_type: str
    message: str
    exit_code: int
    error_names: tuple[str, ...] = ()
    traceback: str = ""
    cause: str = ""


class AttemptResult(Struct):
    """Holds the result of one call of a command.

    ``stdout`` is the unmasked standard output, and is empty unless the step has ``capture``. ``warnings`` are shown
    although the call succeeded. ``reason`` says why nothing was called. ``row_account`` has the rows that the command
    changed; it is None if no command was called.
    """

    status: StepStatus
    failure: Failure | None = None
    stdout: str = ""
    warnings: tuple[str, ...] = ()
    reason: str = ""
    row_account: RowAccount | None = None


class StepResult(Struct):
    """Holds the result of a step after all of its attempts; ``file`` and ``line`` are its position.

    ``is_group`` is true for a step with steps inside: a group, a loop or a called runbook. ``is_past`` is true for a
    step that ended in an earlier attempt of the run, before it was resumed. ``row_account`` has the rows that the last
    call of a command changed.
    """

    step_id: str
    name: str
    status: StepStatus
    role: Role = Role.STEP
    ignored: bool = False
    attempt_count: int = 0
    duration_seconds: float = 0.0
    failure: Failure | None = None
    reason: str = ""
    warnings: tuple[str, ...] = ()
    is_group: bool = False
    is_past: bool = False
    file: str = ""
    line: int = 0
    row_account: RowAccount | None = None

    @property
    def is_failure(self) -> bool:
        return self.status in {StepStatus.FAILED, StepStatus.TIMED_OUT, StepStatus.INTERRUPTED}


class Timings(Struct):
    """Holds where the time of a run went, in seconds.

    ``start_up_seconds`` is what the process took before the run; None in the process of a host. ``step_seconds`` is the
    sum of all commands, with what the history and the reports took during them.
    """

    start_up_seconds: float | None
    check_seconds: float
    step_seconds: float
    history_seconds: float
    report_seconds: float


class RunResult(Struct):
    """Holds the result of a run; ``steps`` has every step, and every item of a loop, in the order in which they ended.

    ``failure`` is what failed the run, or else made it a warning. ``reason`` says why nothing was run, for example
    because the lock was held. ``warnings`` are about the run as a
    whole, such as a report that could not be written. ``advice`` says how to continue a run that failed or was stopped;
    ``resume_command`` is the command line for it, empty if the run cannot be resumed. ``timings`` are those of a run
    with ``--timings``.
    """

    status: RunStatus
    exit_code: int
    steps: tuple[StepResult, ...] = ()
    duration_seconds: float = 0.0
    failure: Failure | None = None
    reason: str = ""
    warnings: tuple[str, ...] = ()
    run_id: str = ""
    resume_command: str = ""
    advice: str = ""
    timings: Timings | None = None
