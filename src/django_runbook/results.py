"""The words for how a step and a run ended, and the exit code that each becomes."""

from __future__ import annotations

import enum
from dataclasses import dataclass


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


class ExitCode(enum.IntEnum):
    """The exit codes of ``run_runbook``, the one table of them (DESIGN section 4)."""

    SUCCEEDED = 0
    FAILED = 1
    INVALID = 2
    FAULT = 3
    LOCK_HELD = 75
    TIMED_OUT = 124
    INTERRUPTED_BY_SIGHUP = 129
    INTERRUPTED_BY_SIGINT = 130
    INTERRUPTED_BY_SIGTERM = 143


class Role(enum.StrEnum):
    """Which list of its group, or of the file, a step stands in."""

    STEP = "step"
    ON_SUCCESS = "on_success"
    ON_FAILURE = "on_failure"
    FINALLY = "finally"


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why an attempt failed.

    ``error_names`` are the names of the exception's class and of its bases, most derived first, each both
    bare and with its module; ``exit_code`` is what the command would have ended its own process with. ``cause`` names
    the step inside a group whose failure this is.
    """

    error_type: str
    message: str
    exit_code: int
    error_names: tuple[str, ...] = ()
    traceback: str = ""
    cause: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptResult:
    """How one call of a command ended.

    ``stdout`` is what the command wrote to its standard output, unmasked, and is empty unless it was asked
    for (a step with ``capture``); ``warnings`` are facts a person should see although the call succeeded, and
    ``reason`` says why nothing was called.
    """

    status: StepStatus
    failure: Failure | None = None
    stdout: str = ""
    warnings: tuple[str, ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepResult:
    """How a step ended, after all of its attempts; ``file`` and ``line`` say where it stands.

    ``is_group`` tells what has steps below it: a group, a loop, a runbook that is called; ``is_past`` what ended in an
    earlier attempt of the run, before it was resumed.
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

    @property
    def is_failure(self) -> bool:
        return self.status in {StepStatus.FAILED, StepStatus.TIMED_OUT, StepStatus.INTERRUPTED}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """How a run ended; ``steps`` holds every step once, in the order in which they ended.

    In a loop that is once for each item. ``reason`` says why nothing was run, where the lock was held. ``warnings`` are
    about the run as a whole, such as a report that could not be written. ``advice`` says how to continue a run that
    failed or was stopped; ``resume_command`` is the command line for it, empty if the run cannot be resumed.
    """

    status: RunStatus
    exit_code: int
    steps: tuple[StepResult, ...] = ()
    duration_seconds: float = 0.0
    reason: str = ""
    warnings: tuple[str, ...] = ()
    run_id: str = ""
    resume_command: str = ""
    advice: str = ""
