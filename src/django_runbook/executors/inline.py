"""One invocation to its result, in this process: everything that can go wrong in a call becomes an AttemptResult."""

from __future__ import annotations

import contextlib
import contextvars
import os
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ParamSpec

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from django_runbook.binding import catalog
from django_runbook.exceptions import Stopped, names_of
from django_runbook.process.deadlines import Halt
from django_runbook.process.masking import Mask
from django_runbook.process.snapshot import Snapshot
from django_runbook.process.stopping import Stop
from django_runbook.process.streams import StreamToLines, WriteLine, captured, tidy_text
from django_runbook.results import AttemptResult, Failure, StepStatus

_INTERRUPTED = 130
_Arguments = ParamSpec("_Arguments")
# How much is done, of how much where that is known, and how much of it failed.
ReportProgress = Callable[[int, "int | None", int], None]


@dataclass(slots=True, kw_only=True)
class _Ways:
    """The ways between a run and the command that it calls, and whether the command heard that it shall stop."""

    halt: Halt
    report_progress: ReportProgress
    run_key: str
    mask: Mask
    was_told: bool = False

    def for_command(self, command: BaseCommand) -> dict[str, Any]:
        # Stealth options, as Django's own commands have: the one way into a command that needs no global.
        ways: dict[str, Any] = {
            "stopping": self._is_stopping,
            "progress": self.report_progress,
            "call_key": self.run_key,
            "mask_secrets": self.mask,
        }
        return {name: way for name, way in ways.items() if name in command.stealth_options}

    def _is_stopping(self) -> bool:
        is_requested = self.halt.is_requested
        self.was_told |= is_requested
        return is_requested


@dataclass(frozen=True, slots=True, kw_only=True)
class InlineExecutor:
    """Calls commands in this process. ``before`` is the state that each of them begins with and leaves behind."""

    stop: Stop
    mask: Mask
    before: Snapshot

    def __call__(  # noqa: PLR0913 - all that there is to a call
        self,
        *,
        command: str,
        tokens: tuple[str, ...],
        keeps_stdout: bool,
        write_line: WriteLine,
        report_progress: ReportProgress,
        halt: Halt,
        run_key: str = "",
        is_atomic: bool = False,
    ) -> AttemptResult:
        """Call the command; ``keeps_stdout`` asks for what it writes to its standard output, ``is_atomic`` says that
        the transaction that is open is the caller's.

        A command that can stop by itself is told what ``halt`` says, one that knows how far it is has
        ``report_progress`` to say so, one that can tell its calls apart knows this one by ``run_key``, and one that
        stores what went wrong is given the mask for it.
        """
        stop, warnings = self.stop, list[str]()
        before = self.before.in_transaction() if is_atomic else self.before
        write_line = _shielded(write_line, stop)
        ways = _Ways(halt=halt, report_progress=_shielded(report_progress, stop), run_key=run_key, mask=self.mask)
        own_pid = os.getpid()
        with captured(write_line=write_line, mask=self.mask, is_kept=keeps_stdout) as (out, err):
            # In a context of its own, which takes the active language and time zone with it when it ends.
            result = contextvars.copy_context().run(
                _attempt, lambda: _call(command, tokens, ways, warnings, out, err), stop=stop, mask=self.mask
            )
            if os.getpid() != own_pid:
                _leave(result, (out, err))
        if stop.was_taken_by_command and result.status is StepStatus.SUCCEEDED:
            result = AttemptResult(status=StepStatus.INTERRUPTED)
        problems = before.restore()
        status, failure = result.status, result.failure
        if problems and status is StepStatus.SUCCEEDED:
            status = StepStatus.FAILED
            failure = Failure(error_type="StateError", message="; ".join(problems), exit_code=1)
            problems = []
        return AttemptResult(status=status, failure=failure, stdout=out.kept, warnings=(*warnings, *problems))


def _leave(result: AttemptResult, streams: tuple[StreamToLines, StreamToLines]) -> None:
    """End a copy of this process that the command forked and let return: the run is not its own."""
    for stream in streams:
        stream.finish()
    text = result.failure.traceback if result.failure is not None else ""
    with contextlib.suppress(OSError):
        os.write(2, text.encode(errors="backslashreplace"))
    for one in (sys.__stdout__, sys.__stderr__):
        with contextlib.suppress(Exception):
            if one is not None:
                one.flush()
    os._exit(result.failure.exit_code if result.failure is not None else 0)


def _shielded(tell: Callable[_Arguments, None], stop: Stop) -> Callable[_Arguments, None]:
    def tell_whole(*args: _Arguments.args, **kwargs: _Arguments.kwargs) -> None:
        with stop.shielded():
            tell(*args, **kwargs)

    return tell_whole


def _attempt(call: Callable[[], bool], *, stop: Stop, mask: Mask) -> AttemptResult:
    try:
        with stop.interruptible():
            is_cut_short = call()
    except Stopped as error:
        return AttemptResult(status=StepStatus.INTERRUPTED, failure=_failure(error, stop.exit_code, mask))
    except BaseException as error:  # noqa: BLE001 - whatever a command does, it is a result
        if stop.is_ending or stop.was_taken_by_command:
            # A cancelled statement reaches the command as a database error.
            return AttemptResult(status=StepStatus.INTERRUPTED, failure=_failure(error, stop.exit_code, mask))
        return _after_error(error, mask)
    return AttemptResult(status=StepStatus.INTERRUPTED if is_cut_short else StepStatus.SUCCEEDED)


def _after_error(error: BaseException, mask: Mask) -> AttemptResult:
    match error:
        case SystemExit():
            return _after_exit(error, mask)
        case KeyboardInterrupt():
            exit_code = _INTERRUPTED
        case CommandError():
            exit_code = _exit_code(error.returncode)
        case _:
            exit_code = 1
    return AttemptResult(status=StepStatus.FAILED, failure=_failure(error, exit_code, mask))


def _after_exit(error: SystemExit, mask: Mask) -> AttemptResult:
    code = error.code
    if code is None or code == 0:
        return AttemptResult(status=StepStatus.SUCCEEDED)
    message = f"the command ended with exit code {code}" if isinstance(code, int) else str(code)
    failure = _failure(error, _exit_code(code), mask, message=message)
    return AttemptResult(status=StepStatus.FAILED, failure=failure)


def _exit_code(code: object) -> int:
    """What the system makes of it, which keeps one byte; 256 must not pass for success."""
    return (code % 256) or 1 if isinstance(code, int) else 1


def _failure(error: BaseException, exit_code: int, mask: Mask, *, message: str | None = None) -> Failure:
    text = _safe_str(error) if message is None else message
    return Failure(
        error_type=type(error).__name__,
        message=tidy_text(text, mask) or type(error).__name__,
        exit_code=exit_code,
        error_names=names_of(type(error)),
        traceback=tidy_text("".join(traceback.format_exception(error)), mask),
    )


def _safe_str(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as failure:  # noqa: BLE001 - an exception's own __str__ may be what is broken
        return f"(its message cannot be shown: {type(failure).__name__})"


def _call(name: str, tokens: tuple[str, ...], ways: _Ways, warnings: list[str], out: Any, err: Any) -> bool:
    """Call the command; returns whether it was told to stop and so may have left work undone."""
    command = catalog.load(name)
    if not _has_django_parser(command):
        # django-click: its commands take no stdout, and find sys.stdout by themselves.
        call_command(command, *tokens)
        return False
    _keep_text_results(command, warnings)
    given = ways.for_command(command)
    call_command(command, *tokens, stdout=out, stderr=err, **given)
    return ways.was_told


def _has_django_parser(command: BaseCommand) -> bool:
    method = getattr(type(command), "create_parser", None)
    module = getattr(method, "__module__", "")
    return not module.startswith("djclick")


def _keep_text_results(command: BaseCommand, warnings: list[str]) -> None:
    """Make a result that is not text a warning: BaseCommand.execute would crash on it after the work is done."""
    handle = command.handle

    def handle_and_look(*args: Any, **options: Any) -> str | None:
        result: Any = handle(*args, **options)
        if result and not isinstance(result, str):
            warnings.append(f"handle() returned {type(result).__name__}, not text: it is ignored")
            return None
        return result  # type: ignore[no-any-return]  # what it is was looked at

    command.handle = handle_and_look  # type: ignore[method-assign]  # of this one instance
