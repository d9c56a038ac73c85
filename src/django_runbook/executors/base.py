"""Describes one call of a command, whatever executes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from django_runbook.executors.atomic import OnFinished
from django_runbook.executors.calling import ReportProgress
from django_runbook.process.deadlines import Halt, Limit
from django_runbook.process.streams import WriteLine
from django_runbook.results import AttemptResult


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutorCall:
    """One call of a command with what bounds it and what takes its output.

    ``keeps_stdout`` asks for everything that it writes to standard output. ``halt`` and ``limit`` bound it from
    outside; ``timeout_seconds``, of ``owner``, count from its start. With ``on_finished`` it runs in a transaction of
    ``atomic_alias``. ``descriptors`` stay open in the process of the command as long as it lives.
    """

    command: str
    tokens: tuple[str, ...]
    keeps_stdout: bool
    write_line: WriteLine
    report_progress: ReportProgress
    halt: Halt
    limit: Limit
    owner: str = ""
    timeout_seconds: float | None = None
    call_key: str = ""
    on_finished: OnFinished | None = None
    atomic_alias: str | None = None
    descriptors: tuple[int, ...] = ()


Execute = Callable[[ExecutorCall], AttemptResult]
