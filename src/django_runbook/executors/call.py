"""What a process of a step is asked for, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django_runbook.results import AttemptResult


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call of a command. ``database_names`` are those that this run uses, which tests change."""

    command: str
    tokens: tuple[str, ...]
    keeps_stdout: bool
    run_key: str
    secrets: tuple[str, ...]
    stop_timeout_seconds: float
    database_names: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Forked:
    """The process is there, and the first of its group."""

    pid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """The command is about to be called; one that is listening looks whether it shall stop, and does so by itself."""

    is_listening: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of output, masked."""

    stream: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far the command says it is."""

    done_count: int
    total_count: int | None
    failed_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """How the call ended."""

    attempt: AttemptResult


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """From the run to the process: finish what is under way, and stop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How the process ended, as `os.waitstatus_to_exitcode` has it, and which of its own processes had to be ended."""

    exit_code: int
    left_behind: tuple[str, ...] = ()
