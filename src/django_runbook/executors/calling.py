"""Calls a command in this process as ``manage.py`` does, and converts every outcome into an AttemptResult."""

from __future__ import annotations

import contextlib
import contextvars
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, Protocol

from django.core.management.base import BaseCommand, CommandError
from django.db import connections

from django_runbook.binding import catalog
from django_runbook.binding.parsers import PROGRAM, NewParser, new_parser
from django_runbook.cleaning import Mask, cleaned_fields
from django_runbook.exceptions import StateError, Stopped, said
from django_runbook.process.deadlines import Halt
from django_runbook.process.failures import failure_of, named_failure
from django_runbook.process.stopping import Stop
from django_runbook.process.streams import NO_INPUT, TOO_LITTLE_INPUT, NoInputError
from django_runbook.results import AttemptResult, StepStatus
from django_runbook.row_counting.counting import RowCounter
from django_runbook.structs import MutableStruct, field, replace

_INTERRUPTED: Final = 130
# The message of the built-in input() at the end of standard input.
_END_OF_INPUT: Final = "EOF when reading a line"


class ReportProgress(Protocol):
    """Reports the number of processed items, the total if it is known, and the number of failed items."""

    def __call__(self, done_count: int, total_count: int | None, failed_count: int, /) -> None: ...


class Callbacks(MutableStruct):
    """Connects a run with its command, through the stealth options of the command.

    The command can check whether ``halt`` requests a stop, report progress, identify this call by ``call_key``, and
    mask secrets in stored errors. In a dry run, it can tell ``rows`` what it would delete. With ``has_input``, it has a
    standard input. ``was_stop_noticed`` is set once the command has seen a requested stop.
    """

    halt: Halt
    report_progress: ReportProgress
    call_key: str
    mask: Mask
    rows: RowCounter = field(default_factory=RowCounter)
    has_input: bool = False
    was_stop_noticed: bool = False

    def for_command(self, command: BaseCommand) -> dict[str, Any]:
        """Return the callbacks that this command accepts."""
        options: dict[str, Any] = {
            "stopping": self._is_stopping,
            "progress": self.report_progress,
            "call_key": self.call_key,
            "mask_secrets": self.mask,
            "would_delete": self.rows.add_deletable,
        }
        return {name: value for name, value in options.items() if name in command.stealth_options}

    def _is_stopping(self) -> bool:
        is_requested = self.halt.is_requested
        self.was_stop_noticed |= is_requested
        return is_requested


class PassedChecks(MutableStruct, kw_only=False):
    """Remembers which system checks have passed, so that each runs only once in a run."""

    keys: set[str] = field(default_factory=set)

    def run_once(self, command: BaseCommand) -> None:
        """Skip checks of `BaseCommand.execute` that have already passed."""
        check = command.check

        def check_once(**options: Any) -> None:
            # The first call comes from execute(); later ones come from handle(), and are not skipped.
            command.check = check  # type: ignore[method-assign]  # of this one instance
            key = repr(sorted((name, str(value)) for name, value in options.items()))
            if key not in self.keys:
                check(**options)
                self.keys.add(key)

        command.check = check_once  # type: ignore[method-assign, assignment]  # of this one instance


def call(
    name: str,
    tokens: tuple[str, ...],
    *,
    callbacks: Callbacks,
    checks: PassedChecks,
    stop: Stop,
    parser_of: NewParser = new_parser,
) -> AttemptResult:
    """Call a command with the tokens of a command line, and count the rows that it changes.

    The command writes to the standard streams.
    """
    warnings: list[str] = []

    def invoke() -> bool:
        return _invoke(name, tokens, callbacks=callbacks, checks=checks, parser_of=parser_of, warnings=warnings)

    no_input = TOO_LITTLE_INPUT if callbacks.has_input else NO_INPUT
    with callbacks.rows:
        # A separate context discards the active language and time zone of the command.
        result = contextvars.copy_context().run(_attempt, invoke, stop=stop, mask=callbacks.mask, no_input=no_input)
    # The name of a table and the message of an error may contain a secret.
    account = cleaned_fields(callbacks.rows.account(), callbacks.mask)
    return AttemptResult(status=result.status, failure=result.failure, warnings=tuple(warnings), row_account=account)


def leave_copy(result: AttemptResult) -> None:
    """Exit from a forked copy of this process, in which the command has returned."""
    text = result.failure.traceback if result.failure is not None else ""
    with contextlib.suppress(OSError):
        os.write(2, text.encode(errors="backslashreplace"))
    os._exit(result.failure.exit_code if result.failure is not None else 0)


def with_problems(result: AttemptResult, problems: Sequence[str]) -> AttemptResult:
    """Fail a command that succeeded but left problems in its process; otherwise add them as warnings."""
    if problems and result.status is StepStatus.SUCCEEDED:
        failure = named_failure(StateError, "; ".join(problems))
        return replace(result, status=StepStatus.FAILED, failure=failure)
    return replace(result, warnings=(*result.warnings, *problems))


def _attempt(invoke: Callable[[], bool], *, stop: Stop, mask: Mask, no_input: str) -> AttemptResult:
    try:
        with stop.interruptible():
            is_cut_short = invoke()
    except Stopped as error:
        # It may have been raised while the end of the command was being noted.
        stop.end_command()
        return _interrupted(error, stop, mask)
    except BaseException as error:  # noqa: BLE001 - every outcome of a command becomes a result
        if stop.is_ending or stop.was_taken_by_command:
            # A canceled statement raises a database error.
            return _interrupted(error, stop, mask)
        return result_of_error(error, mask, no_input=no_input)
    stop.settle()
    is_interrupted = is_cut_short or stop.was_taken_by_command
    return AttemptResult(status=StepStatus.INTERRUPTED if is_interrupted else StepStatus.SUCCEEDED)


def _interrupted(error: BaseException, stop: Stop, mask: Mask) -> AttemptResult:
    failure = failure_of(error, mask, exit_code=stop.exit_code)
    return AttemptResult(status=StepStatus.INTERRUPTED, failure=failure)


def result_of_error(error: BaseException, mask: Mask, *, no_input: str = NO_INPUT) -> AttemptResult:
    """Return the result of a command that raised an exception; an exit with 0 is a success.

    ``no_input`` is the message for a command that asked for more input than there is.
    """
    message: str | None = None
    match error:
        case SystemExit():
            return _after_exit(error, mask)
        case KeyboardInterrupt():
            exit_code = _INTERRUPTED
        case CommandError():
            # A subclass may not have called the initializer, which sets it.
            exit_code = _exit_code(getattr(error, "returncode", 1))
        case EOFError() if isinstance(error, NoInputError) or said(error) == _END_OF_INPUT:
            exit_code, message = 1, no_input
        case _:
            exit_code = 1
    failure = failure_of(error, mask, exit_code=exit_code, message=message)
    return AttemptResult(status=StepStatus.FAILED, failure=failure)


def _after_exit(error: SystemExit, mask: Mask) -> AttemptResult:
    code = error.code
    if code is None or code == 0:
        return AttemptResult(status=StepStatus.SUCCEEDED)
    message = f"the command ended with exit code {code}" if isinstance(code, int) else said(error)
    failure = failure_of(error, mask, exit_code=_exit_code(code), message=message)
    return AttemptResult(status=StepStatus.FAILED, failure=failure)


def _exit_code(code: object) -> int:
    """Return the exit code as the system reports it, in one byte; 256 must not become success."""
    return (code % 256) or 1 if isinstance(code, int) else 1


def _invoke(
    name: str,
    tokens: tuple[str, ...],
    *,
    callbacks: Callbacks,
    checks: PassedChecks,
    parser_of: NewParser,
    warnings: list[str],
) -> bool:
    """Call the command; return whether it has noticed a stop, and may have left work undone."""
    command: Any = catalog.load(name)
    # A batch command says which rollback belongs to a dry run; others may raise an error to begin it.
    is_library = "stopping" in getattr(command, "stealth_options", ())
    callbacks.rows.counts_rollbacks = callbacks.rows.is_dry_run and not is_library
    if not isinstance(command, BaseCommand):
        # Commands of django-click access the standard streams directly.
        command.run_from_argv([PROGRAM, name, *tokens])
        return False
    _keep_text_results(command, warnings)
    if command.requires_system_checks:
        checks.run_once(command)
    if catalog.reads_own_argv(command):
        _run_from_argv(command, [PROGRAM, name, *tokens], callbacks=callbacks)
        return callbacks.was_stop_noticed
    # The rest of `run_from_argv`, without its error handling; it does not accept the callbacks.
    options = vars(parser_of(command, name).parse_args(list(tokens)))
    args = options.pop("args", ())
    command.execute(*args, **{**options, **callbacks.for_command(command)})
    return callbacks.was_stop_noticed


def _run_from_argv(command: BaseCommand, argv: list[str], *, callbacks: Callbacks) -> None:
    """Let a command parse its command line; raise the error that it would print before exiting."""
    execute, raised = command.execute, list[CommandError]()

    def execute_with_callbacks(*args: Any, **options: Any) -> str | None:
        try:
            return execute(*args, **{**options, **callbacks.for_command(command)})
        except CommandError as error:
            raised.append(error)
            raise

    command.execute = execute_with_callbacks  # type: ignore[method-assign]  # of this one instance
    try:
        with _transactions_kept():
            command.run_from_argv(argv)
    except SystemExit as error:
        if raised:
            raise raised[0] from error
        raise


@contextlib.contextmanager
def _transactions_kept() -> Iterator[None]:
    """Keep connections with a transaction open, because `run_from_argv` closes all connections at its end."""
    kept = [connection for connection in connections.all(initialized_only=True) if connection.in_atomic_block]
    for connection in kept:
        connection.close = _do_nothing  # type: ignore[method-assign]  # of this one instance
    try:
        yield
    finally:
        for connection in kept:
            vars(connection).pop("close", None)


def _do_nothing() -> None:
    pass


def _keep_text_results(command: BaseCommand, warnings: list[str]) -> None:
    """Turn a result that is not a string into a warning; BaseCommand.execute would fail on it after the work."""
    handle = command.handle

    def handle_and_check(*args: Any, **options: Any) -> str | None:
        result: Any = handle(*args, **options)
        if result and not isinstance(result, str):
            warnings.append(f"handle() returned {type(result).__name__}, not a string: it is ignored")
            return None
        return result  # type: ignore[no-any-return]  # its type was checked

    command.handle = handle_and_check  # type: ignore[method-assign]  # of this one instance
