"""Runs one call in this process, and restores what the command has changed."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Sequence
from typing import ParamSpec

from django.db import DEFAULT_DB_ALIAS

from django_runbook.binding.parsers import ParserSource
from django_runbook.cleaning import Mask
from django_runbook.executors import calling
from django_runbook.executors.atomic import atomically
from django_runbook.executors.base import ExecutorCall
from django_runbook.executors.calling import Callbacks, PassedChecks
from django_runbook.process import exits, files
from django_runbook.process.failures import failure_of
from django_runbook.process.files import OpenFiles
from django_runbook.process.raw_output import RawOutput
from django_runbook.process.snapshot import Snapshot
from django_runbook.process.stopping import Stop
from django_runbook.process.streams import StreamToLines, TooMuchOutputError, captured
from django_runbook.results import AttemptResult, StepStatus
from django_runbook.row_counting.counting import RowCounter
from django_runbook.structs import Struct, field, replace

_Arguments = ParamSpec("_Arguments")


class InlineExecutor(Struct):
    """Calls commands in this process.

    ``before`` is the process state that each command starts with and that is restored after it. ``keeps_terminal``
    leaves standard input and prompts to a debugger. ``raw_output`` captures the output of subprocesses. A timeout
    cannot end a command here. ``reopen`` is called after a command has closed files of the run.
    """

    stop: Stop
    mask: Mask
    before: Snapshot
    files: OpenFiles
    reopen: Callable[[], None] = lambda: None
    keeps_terminal: bool = False
    raw_output: RawOutput | None = None
    checks: PassedChecks = field(default_factory=PassedChecks)
    parsers: ParserSource = field(default_factory=ParserSource)

    def __call__(self, call: ExecutorCall) -> AttemptResult:
        """Run the command of a call."""
        on_finished = call.on_finished
        if on_finished is None:
            return self._run(call, self.before)
        using = call.atomic_alias or DEFAULT_DB_ALIAS
        result = atomically(lambda: self._run(call, self.before.in_transaction()), on_finished=on_finished, using=using)
        # The connections cannot be closed before the transaction has ended.
        return replace(result, warnings=(*result.warnings, *self.before.restore_connections()))

    def _run(self, call: ExecutorCall, before: Snapshot) -> AttemptResult:
        """Run a command, restore the process, and fail the command if it left problems."""
        ended = self._run_captured(call)
        result = ended.result
        if ended.is_output_too_long and result.status is StepStatus.SUCCEEDED:
            result = replace(result, status=StepStatus.FAILED, failure=failure_of(TooMuchOutputError(), self.mask))
        if ended.file_problems:
            self._reopen_files()
        problems = [*ended.file_problems, *before.restore()]
        result = replace(result, warnings=(*result.warnings, *before.take_warnings()))
        if ended.refused_exit and (result.failure is None or ended.refused_exit not in result.failure.message):
            problems.append(ended.refused_exit)
        return replace(calling.with_problems(result, problems), stdout=ended.stdout)

    def _run_captured(self, call: ExecutorCall) -> _EndedCommand:
        """Run a command with its output captured and the files of the run protected."""
        raw, own_pid = self.raw_output, os.getpid()
        self.files.keep()
        with captured(
            write_line=_shielded(call.write_line, self.stop),
            mask=self.mask,
            is_kept=call.keeps_stdout,
            stdin=call.process.stdin,
            keeps_terminal=self.keeps_terminal,
            late=None if raw is None else raw.late,
        ) as streams:
            with (
                exits.refused(errors=2 if raw is None else raw.errors) as guard,
                contextlib.nullcontext() if raw is None else raw.passed_to(*streams),
                files.spared((*self.files.copies, *(() if raw is None else raw.copies))),
            ):
                owned = () if raw is None else raw.descriptors
                noted = files.noted((*self.stop.descriptors, *call.descriptors, *owned))
                result = self._invoke(call)
                problems = files.problems(noted)
            if os.getpid() != own_pid:
                _leave_copy(result, streams)
        return _EndedCommand(
            result=result,
            stdout=streams[0].kept,
            is_output_too_long=streams[0].is_too_long,
            refused_exit=guard.message,
            file_problems=problems,
        )

    def _invoke(self, call: ExecutorCall) -> AttemptResult:
        callbacks = Callbacks(
            halt=call.halt,
            report_progress=_shielded(call.report_progress, self.stop),
            call_key=call.call_key,
            mask=self.mask,
            rows=RowCounter(is_dry_run=call.is_dry_run),
            has_input=call.process.stdin is not None,
        )
        # Restored after the command, as all of the environment is.
        os.environ.update(call.environ)
        return calling.call(
            call.command,
            call.tokens,
            callbacks=callbacks,
            checks=self.checks,
            stop=self.stop,
            parser_of=self.parsers.new_parser,
        )

    def _reopen_files(self) -> None:
        self.files.restore()
        if self.raw_output is not None:
            self.raw_output.restore()
        self.stop.listen_again()
        self.reopen()


class _EndedCommand(Struct):
    """Holds the result of a command before the process is restored."""

    result: AttemptResult
    stdout: str
    is_output_too_long: bool
    refused_exit: str
    file_problems: Sequence[str]


def _leave_copy(result: AttemptResult, streams: tuple[StreamToLines, StreamToLines]) -> None:
    for stream in streams:
        stream.finish()
    calling.leave_copy(result)


def _shielded(report: Callable[_Arguments, None], stop: Stop) -> Callable[_Arguments, None]:
    # Both are found once: each line of output is reported.
    main, shield = threading.main_thread().ident, stop.shielded()

    def report_whole(*args: _Arguments.args, **kwargs: _Arguments.kwargs) -> None:
        if threading.get_ident() != main:
            # `Stopped` is raised in the main thread only.
            report(*args, **kwargs)
            return
        with shield:
            report(*args, **kwargs)

    return report_whole
