"""Watches the process of a step: passes on its output, enforces its bounds, and builds its result."""

from __future__ import annotations

import contextlib
import select
import selectors
import signal
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, Self

from django_runbook.exceptions import Stopped
from django_runbook.executors import messages
from django_runbook.executors.atomic import OnFinished
from django_runbook.executors.calling import ReportProgress
from django_runbook.executors.channel import Channel
from django_runbook.executors.escalation import Cause, Escalation
from django_runbook.executors.pipes import PipeReader
from django_runbook.process.stopping import Stop
from django_runbook.process.streams import MAX_KEPT_CHARACTERS
from django_runbook.results import AttemptResult, Failure, StepStatus
from django_runbook.row_account import RowAccount
from django_runbook.structs import MutableStruct, field, replace

_SLICE_SECONDS: Final = 0.05
# A pipe holds 64 KiB, or up to 1 MiB if it was enlarged.
_READS_OF_A_PIPE: Final = 17


class WatchedProcess(MutableStruct):
    """Watches the process of one call; as a context manager, ends the process.

    While ``accepts_output`` returns False, output stays in its pipes: the command waits, and its bounds still hold.
    A signal to the process from outside the run stops the run, as a signal to the run does.
    """

    request: messages.CallRequest
    channel: Channel
    status: Channel
    readers: Sequence[PipeReader]
    escalation: Escalation
    stop: Stop
    report_progress: ReportProgress
    accepts_output: Callable[[], bool] = lambda: True
    on_finished: OnFinished | None = None
    result_of_call: messages.Result | None = None
    _ended: messages.Ended | None = None
    _start_failed: messages.StartFailed | None = None
    _is_over: bool = False
    _is_called: bool = False
    _open: set[Any] = field(default_factory=set)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if not self._is_over:
            # Passing on its messages has failed, so its result would be lost.
            self.escalation.kill()
            while not (self._is_over or self.escalation.is_at_end):
                if _has_more(self.status, seconds=_SLICE_SECONDS):
                    self._read(self.status)
        for one in self._sources:
            one.close()

    @property
    def _sources(self) -> tuple[Channel | PipeReader, ...]:
        # Standard output comes first, so that errors follow the output that led to them.
        return (*self.readers, self.channel, self.status)

    def watch(self) -> None:
        """Pass on output and messages until the process has ended, and end it when that is due."""
        self._open = set(self._sources)
        with selectors.DefaultSelector() as selector:
            for one in self._sources:
                selector.register(one, selectors.EVENT_READ)
            while not (self._is_over or self.escalation.is_at_end):
                self._choose_readers(selector)
                ready = {key.fileobj for key, _ in selector.select(_SLICE_SECONDS)}
                for one in self._sources:
                    if one in ready and not self._read(one):
                        selector.unregister(one)
                        self._open.discard(one)
                self.escalation.advance()
        self._read_rest()

    def _choose_readers(self, selector: selectors.BaseSelector) -> None:
        is_accepted = self.accepts_output()
        for reader in self.readers:
            if reader in self._open and is_accepted != (reader in selector.get_map()):
                if is_accepted:
                    selector.register(reader, selectors.EVENT_READ)
                else:
                    selector.unregister(reader)

    def _read(self, source: Channel | PipeReader) -> bool:
        """Read from a source; return whether it is still open."""
        if isinstance(source, PipeReader):
            is_open = source.read()
            if source.kept is not None and source.kept.is_too_long:
                self.escalation.end_for_output()
            return is_open
        if source is self.channel:
            return self._listen()
        try:
            for message in self.status.receive_waiting():
                self._receive_status(message)
        except EOFError:
            if not self._is_over:
                # The keeper has ended, and only it could report the end of the process.
                self.escalation.kill()
                self._is_over = True
            return False
        return True

    def _receive_status(self, message: Any) -> None:
        match message:
            case messages.Forked():
                # Not earlier: without a reader, sending a request longer than the buffer would block.
                self._is_called = True
                with contextlib.suppress(OSError):
                    self.channel.send(self.request)
                self.escalation.attach(message.pid, keeper_pid=message.keeper_pid)
            case messages.StartFailed():
                self._start_failed, self._is_over = message, True
            case messages.Ended():
                self._ended, self._is_over = message, True

    def _listen(self) -> bool:
        try:
            for message in self.channel.receive_waiting():
                match message:
                    case messages.ProgressReport():
                        self.report_progress(message.done_count, message.total_count, message.failed_count)
                    case messages.Started():
                        self.escalation.start_clock(is_listening=message.is_listening)
                    case messages.Finished():
                        self._answer()
                    case messages.Signaled() if self.escalation.last_signal is None:
                        self.stop.signal(message.number)
                    case messages.Result():
                        self.result_of_call = message
                    case messages.StartFailed():
                        self._start_failed = message
        except EOFError:
            return False
        return True

    def _answer(self) -> None:
        """Answer an atomic command whether to commit, by its output so far."""
        answer: messages.Commit | messages.RollBack = messages.RollBack()
        if self.on_finished is not None and self.escalation.cause is None:
            self._drain()
            answer = self.on_finished(AttemptResult(status=StepStatus.SUCCEEDED, stdout=self._stdout))
        with contextlib.suppress(OSError):
            self.channel.send(answer)

    def _drain(self) -> None:
        """Read the current contents of the pipes."""
        for reader in self.readers:
            for _ in range(_READS_OF_A_PIPE):
                if reader not in self._open or not _has_more(reader):
                    break
                if not reader.read():
                    self._open.discard(reader)

    def _read_rest(self) -> None:
        """Read the output written before the end, and no more: a remaining process may hold the pipes open."""
        while _has_more(self.channel) and self._listen():
            pass
        self._drain()
        for reader in self.readers:
            reader.finish()

    @property
    def _stdout(self) -> str:
        kept = self.readers[0].kept
        return "" if kept is None else kept.text

    @property
    def is_lost_before_its_call(self) -> bool:
        """Return whether the server ended before the process received its request, so the command has not begun."""
        return (
            not self._is_called and self._start_failed is None and self._ended is None and self.escalation.cause is None
        )

    def result(self, *, is_memory_short: bool) -> AttemptResult:
        """Build the result; with ``is_memory_short``, the system has killed a process because memory ran out."""
        reported = self.result_of_call.attempt if self.result_of_call is not None else None
        attempt = replace(reported or self._without_result(is_memory_short=is_memory_short), stdout=self._stdout)
        if reported is None and self._is_called:
            unknown = RowAccount(unknown="its process ended before it reported them")
            attempt = replace(attempt, row_account=unknown)
        if self.escalation.cause is Cause.OUTPUT:
            message = f"it wrote more than {MAX_KEPT_CHARACTERS:,} characters, which is all that can be captured"
            return replace(attempt, status=StepStatus.FAILED, stdout="", failure=_failure(message, exit_code=1))
        if attempt.status is StepStatus.SUCCEEDED or self.escalation.cause is None:
            return replace(attempt, warnings=(*attempt.warnings, *self._warnings()))
        is_timeout = self.escalation.cause is Cause.TIMEOUT
        is_of_branch = self.escalation.cause is Cause.HALT and not self._is_of_stop
        # The process knows only the signal, but not why the branch was canceled.
        reasons = (self.escalation.halt_reason,) if is_of_branch else ()
        message = "; ".join((*reasons, self._how(), *self._warnings()))
        failure = attempt.failure
        if self.escalation.deadline is not None:
            failure = self.escalation.deadline.failure(message)
        elif failure is None or reported is None:
            failure = _failure(message, exit_code=self._exit_code)
        elif is_of_branch and failure.error_type == Stopped.__name__:
            failure = replace(failure, message=message)
        status = StepStatus.TIMED_OUT if is_timeout else StepStatus.INTERRUPTED
        return replace(attempt, status=status, failure=failure)

    def _how(self) -> str:
        if not self.escalation.has_started:
            return "its process had not been started"
        if self._ended is None and self.escalation.is_at_end:
            return "its process does not end after SIGKILL"
        name = self.stop.signal_name if self._is_of_stop else "SIGTERM"
        is_killed = self.escalation.last_signal is signal.SIGKILL
        return f"SIGKILL ended it, after {name}" if is_killed else f"{name} ended it"

    @property
    def _is_of_stop(self) -> bool:
        return self.escalation.cause is Cause.HALT and self.stop.is_requested

    @property
    def _exit_code(self) -> int:
        return self.stop.exit_code if self._is_of_stop else 128 + signal.SIGTERM

    def _warnings(self) -> Iterator[str]:
        names = self._ended.left_behind if self._ended is not None else ()
        if names:
            found = (
                "a process that it started was" if len(names) == 1 else f"{len(names)} processes that it started were"
            )
            yield f"{found} still running, and ended: {', '.join(names)}"

    def _without_result(self, *, is_memory_short: bool) -> AttemptResult:
        if self._start_failed is not None:
            return failed(self._start_failed.reason, exit_code=1)
        if self._ended is None:
            return failed("it was ended because the process that watches over it was killed", exit_code=1)
        code = self._ended.exit_code
        if code == messages.CHANNEL_CLOSED:
            return failed("the command closed the connection to its run: how it ended is unknown", exit_code=1)
        if code >= 0:
            return failed(f"its process ended with exit code {code} before the command did", exit_code=code or 1)
        name = _name_of(-code)
        if -code == signal.SIGKILL and is_memory_short:
            text = f"the system ended its process ({name}): out of memory"
            return failed(text, exit_code=128 - code, kind=MemoryError)
        return failed(f"its process was ended by {name}, which this run did not send", exit_code=128 - code)


def _has_more(source: Channel | PipeReader, *, seconds: float = 0.0) -> bool:
    # select() fails on the descriptors of a run with many branches.
    poll = select.poll()
    poll.register(source, select.POLLIN)
    return bool(poll.poll(1000 * seconds))


def failed(message: str, *, exit_code: int, kind: type[Exception] = ChildProcessError) -> AttemptResult:
    """Return the result of a call whose process cannot report one."""
    return AttemptResult(status=StepStatus.FAILED, failure=_failure(message, exit_code=exit_code, kind=kind))


def _failure(message: str, *, exit_code: int, kind: type[Exception] = ChildProcessError) -> Failure:
    names = [base.__name__ for base in kind.__mro__ if issubclass(base, Exception)]
    return Failure(
        error_type=kind.__name__,
        message=message,
        exit_code=exit_code,
        error_names=tuple(name for bare in names for name in (bare, f"builtins.{bare}")),
    )


def _name_of(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
