"""Defines the messages between the process of a run and those of its steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from django_runbook.results import AttemptResult

# The exit code of a process that cannot report anything, because its command closed the connection to the run.
CHANNEL_CLOSED: Final = 76


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRequest:
    """Asks for one call of a command.

    ``database_names`` are those that this run uses, which tests change. ``atomic_alias`` is the database in whose
    transaction the command runs: at its end it asks with `Finished` whether to commit. ``checks_passed`` are the
    system checks that an earlier step has passed.
    """

    command: str
    tokens: tuple[str, ...]
    call_key: str
    secrets: tuple[str, ...]
    database_names: Mapping[str, object]
    atomic_alias: str | None = None
    checks_passed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Forked:
    """Says that there is a process, the first of its group, and who watches over it."""

    pid: int
    keeper_pid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StartFailed:
    """Says that there is no process, or none that can call a command, and why."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """Says that the command is about to be called; one that is listening checks by itself whether to stop."""

    is_listening: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgressReport:
    """Says how far the command is."""

    done_count: int
    total_count: int | None
    failed_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Signaled:
    """Says that somebody else than the run has signaled the process."""

    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """Says that an atomic command succeeded, and asks what to write with its commit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """Tells an atomic command to commit; ``write`` is called in the same transaction, right before its end."""

    write: Callable[[], None] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RollBack:
    """Tells an atomic command that it must not commit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Says how the call ended. ``checks_passed`` are those of the call and what it added to them."""

    attempt: AttemptResult
    checks_passed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StopRequest:
    """Tells a process to finish its current item and stop."""

    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EndRequest:
    """Tells a process to end its command at once.

    Without ``is_forced``, a command that handles SIGTERM itself ends in its own way.
    """

    number: int
    is_forced: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """Says how a process ended, as `os.waitstatus_to_exitcode` has it, and what it left behind, which was ended."""

    exit_code: int
    left_behind: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """Says that a server can fork, or what keeps it from doing so. With several threads a fork is not safe."""

    problem: str = ""
    thread_count: int = 1
