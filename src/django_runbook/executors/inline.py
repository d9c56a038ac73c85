"""Runs one call in this process, and restores what the command has changed."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import ParamSpec

from django.db import DEFAULT_DB_ALIAS

from django_runbook.executors.atomic import atomically
from django_runbook.executors.base import Invocation
from django_runbook.executors.calling import Callbacks, PassedChecks, call, leave_copy
from django_runbook.process import exits, files
from django_runbook.process.failures import failure_of
from django_runbook.process.files import OpenFiles
from django_runbook.process.masking import Mask
from django_runbook.process.raw_output import RawOutput
from django_runbook.process.snapshot import Snapshot
from django_runbook.process.stopping import Stop
from django_runbook.process.streams import TooMuchOutputError, captured
from django_runbook.results import AttemptResult, Failure, StepStatus

_Arguments = ParamSpec("_Arguments")


@dataclass(frozen=True, slots=True, kw_only=True)
class InlineExecutor:
    """Calls commands in this process.

    ``before`` is the state that each of them starts with and leaves behind. ``keeps_terminal`` leaves standard input
    and prompts to a debugger. ``raw_output`` captures what subprocesses write. A timeout cannot end a command here.
    ``reopen`` is called after a command has closed files of the run.
    """

    stop: Stop
    mask: Mask
    before: Snapshot
    files: OpenFiles
    reopen: Callable[[], None] = lambda: None
    keeps_terminal: bool = False
    raw_output: RawOutput | None = None
    checks: PassedChecks = field(default_factory=PassedChecks)

    def __call__(self, invocation: Invocation) -> AttemptResult:
        """Call the command of an invocation."""
        on_finished = invocation.on_finished
        if on_finished is None:
            return self._call(invocation, self.before)
        using = invocation.atomic_alias or DEFAULT_DB_ALIAS
        result = atomically(
            lambda: self._call(invocation, self.before.in_transaction()), on_finished=on_finished, using=using
        )
        # Only now its connections may be closed. What it did is committed, or has failed already.
        return replace(result, warnings=(*result.warnings, *self.before.restore_connections()))

    def _call(self, invocation: Invocation, before: Snapshot) -> AttemptResult:
        stop, own_pid = self.stop, os.getpid()
        callbacks = Callbacks(
            halt=invocation.halt,
            report_progress=_shielded(invocation.report_progress, stop),
            call_key=invocation.call_key,
            mask=self.mask,
        )
        raw = self.raw_output
        self.files.keep()
        with captured(
            write_line=_shielded(invocation.write_line, stop),
            mask=self.mask,
            is_kept=invocation.keeps_stdout,
            keeps_terminal=self.keeps_terminal,
            late=None if raw is None else raw.late,
        ) as streams:
            with (
                exits.refused(errors=2 if raw is None else raw.errors) as guard,
                contextlib.nullcontext() if raw is None else raw.passed_to(*streams),
                files.spared((*self.files.copies, *(() if raw is None else raw.copies))),
            ):
                owned = () if raw is None else raw.descriptors
                noted = files.noted((*stop.descriptors, *invocation.descriptors, *owned))
                result = call(
                    invocation.command,
                    invocation.tokens,
                    callbacks=callbacks,
                    checks=self.checks,
                    stop=stop,
                )
                problems = files.problems(noted)
            if os.getpid() != own_pid:
                for stream in streams:
                    stream.finish()
                leave_copy(result)
        if streams[0].is_too_long and result.status is StepStatus.SUCCEEDED:
            result = replace(result, status=StepStatus.FAILED, failure=failure_of(TooMuchOutputError(), self.mask))
        if problems:
            self.files.restore()
            if raw is not None:
                raw.restore()
            stop.listen_again()
            self.reopen()
        problems += before.restore()
        result = replace(result, warnings=(*result.warnings, *before.take_warnings()))
        if guard.message and (result.failure is None or guard.message not in result.failure.message):
            problems.append(guard.message)
        if problems and result.status is StepStatus.SUCCEEDED:
            failure = Failure(error_type="StateError", message="; ".join(problems), exit_code=1)
            result, problems = replace(result, status=StepStatus.FAILED, failure=failure), []
        return replace(result, stdout=streams[0].kept, warnings=(*result.warnings, *problems))


def _shielded(report: Callable[_Arguments, None], stop: Stop) -> Callable[_Arguments, None]:
    def report_whole(*args: _Arguments.args, **kwargs: _Arguments.kwargs) -> None:
        if threading.current_thread() is not threading.main_thread():
            # `Stopped` is raised in the main thread only.
            report(*args, **kwargs)
            return
        with stop.shielded():
            report(*args, **kwargs)

    return report_whole
