"""Defines the messages between the process of a run and those of its steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from django_runbook.results import AttemptResult
from django_runbook.structs import Struct, field

# The exit code of a process whose command has closed the connection to the run.
CHANNEL_CLOSED: Final = 76


class CallRequest(Struct):
    """Requests one call of a command; with ``has_input``, its standard input is not empty.

    ``database_names`` are the databases of this run, which tests change. ``atomic_alias`` is the database in whose
    transaction the command runs; at its end, the command asks with `Finished` whether to commit. ``atomic_address``
    says which database that is, to a process whose settings may differ. A call that ``is_dry_run`` counts the rows
    that its command rolls back. ``checks_passed`` are the system checks that earlier
    steps have passed, and ``environ`` are variables of the process in addition to its own.
    """

    command: str
    tokens: tuple[str, ...]
    call_key: str
    has_input: bool
    secrets: tuple[str, ...]
    database_names: Mapping[str, object]
    atomic_alias: str | None = None
    atomic_address: tuple[str, ...] = ()
    is_dry_run: bool = False
    checks_passed: tuple[str, ...] = ()
    environ: Mapping[str, str] = field(default_factory=dict)


class Forked(Struct):
    """Reports the process of a step, which leads its process group, and its keeper."""

    pid: int
    keeper_pid: int


class StartFailed(Struct):
    """Reports that no process could be started, or that it cannot call commands."""

    reason: str


class Started(Struct):
    """Reports that the command is about to be called; a listening command checks for stops by itself."""

    is_listening: bool


class ProgressReport(Struct):
    """Reports the progress of a command."""

    done_count: int
    total_count: int | None
    failed_count: int


class Signaled(Struct):
    """Reports a signal from outside the run."""

    number: int


class Finished(Struct):
    """Reports that an atomic command succeeded, and asks what to write with its commit."""


class Commit(Struct):
    """Asks an atomic command to commit; ``write`` is called in the same transaction, right before its end."""

    write: Callable[[], None] | None = None


class RollBack(Struct):
    """Asks an atomic command to roll back."""


class Result(Struct):
    """Reports the result of a call; ``checks_passed`` includes those of earlier steps."""

    attempt: AttemptResult
    checks_passed: tuple[str, ...] = ()


class StopRequest(Struct):
    """Asks a process to finish its current item and stop."""

    number: int


class EndRequest(Struct):
    """Asks a process to end its command immediately.

    Without ``is_forced``, a command that handles SIGTERM is left to its own handler.
    """

    number: int
    is_forced: bool


class Ended(Struct):
    """Reports the exit code of a process, and the names of its remaining descendants, which were ended.

    A negative ``exit_code`` is the number of a signal, as in `os.waitstatus_to_exitcode`.
    """

    exit_code: int
    left_behind: tuple[str, ...] = ()


class Ready(Struct):
    """Reports whether a server can fork. With several threads, a fork is not safe."""

    problem: str = ""
    thread_count: int = 1
