"""What a process of a step says and how it ends to the result of its call."""

from __future__ import annotations

import contextlib
import select
import selectors
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Self

from django_runbook.executors import call as messages
from django_runbook.executors.channel import Channel
from django_runbook.executors.inline import ReportProgress
from django_runbook.executors.ladder import Cause, Ladder
from django_runbook.executors.lines import LineReader
from django_runbook.process.streams import WriteLine
from django_runbook.results import AttemptResult, ExitCode, Failure, StepStatus

_SLICE_SECONDS: Final = 0.05
# A pipe holds 64 KiB, and at most 1 MiB where somebody made it larger.
_READS_OF_A_PIPE: Final = 17


@dataclass(slots=True, kw_only=True)
class WatchedProcess:
    """A process that was asked for; as a context manager, it is gone when the context ends, in whatever way."""

    call: messages.Call
    channel: Channel
    status: Channel
    readers: Sequence[LineReader]
    ladder: Ladder
    _attempt: AttemptResult | None = None
    _ended: messages.Ended | None = None
    _refused: messages.Refused | None = None
    _is_over: bool = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if not self._is_over:
            # What we are told of the process could not be handed on: nobody would know what it does.
            self.ladder.kill()
            with contextlib.suppress(EOFError):
                while not (self._is_over or self.ladder.is_at_end):
                    self._hear_of(self.status.receive())
        for one in self._sources:
            one.close()

    @property
    def _sources(self) -> tuple[Channel | LineReader, ...]:
        return (self.channel, self.status, *self.readers)

    def watch(self, *, write_line: WriteLine, report_progress: ReportProgress) -> None:
        """Hand on what the process says until it has ended, and end it where that is due."""
        with selectors.DefaultSelector() as selector:
            for one in self._sources:
                selector.register(one, selectors.EVENT_READ)
            while not (self._is_over or self.ladder.is_at_end):
                for key, _ in selector.select(_SLICE_SECONDS):
                    if not self._look_at(key.fileobj, write_line=write_line, report_progress=report_progress):
                        selector.unregister(key.fileobj)
                self.ladder.climb()
        self._read_rest(write_line=write_line, report_progress=report_progress)

    def _look_at(self, source: object, *, write_line: WriteLine, report_progress: ReportProgress) -> bool:
        """Hand on what is there; returns whether more can come."""
        if isinstance(source, LineReader):
            return source.read()
        if source is self.channel:
            return self._listen(write_line=write_line, report_progress=report_progress)
        with contextlib.suppress(EOFError):
            for message in self.status.receive_waiting():
                self._hear_of(message)
            return True
        # The server is gone, and nobody else can tell how the process ends.
        self.ladder.kill()
        self._is_over = True
        return False

    def _hear_of(self, message: Any) -> None:
        match message:
            case messages.Forked():
                # Only now: nobody reads a call that is longer than what the system keeps before there is a process.
                with contextlib.suppress(OSError):
                    self.channel.send(self.call)
                self.ladder.begin(message.pid)
            case messages.Refused():
                self._refused, self._is_over = message, True
            case messages.Ended():
                self._ended, self._is_over = message, True

    def _listen(self, *, write_line: WriteLine, report_progress: ReportProgress) -> bool:
        try:
            for message in self.channel.receive_waiting():
                match message:
                    case messages.Line():
                        write_line(message.stream, message.text)
                    case messages.Progress():
                        report_progress(message.done_count, message.total_count, message.failed_count)
                    case messages.Started():
                        self.ladder.is_listening = message.is_listening
                    case messages.Result():
                        self._attempt = message.attempt
                    case messages.Refused():
                        self._refused = message
        except EOFError:
            return False
        return True

    def _read_rest(self, *, write_line: WriteLine, report_progress: ReportProgress) -> None:
        """What was written before the end, and no more: a process that left the group may hold the other ends."""
        while _has_more(self.channel) and self._listen(write_line=write_line, report_progress=report_progress):
            pass
        for reader in self.readers:
            for _ in range(_READS_OF_A_PIPE):
                if not (_has_more(reader) and reader.read()):
                    break
            reader.finish()

    def result(self, *, is_memory_short: bool) -> AttemptResult:
        """How the call ended. ``is_memory_short`` says that the system ended a process for want of memory meanwhile."""
        attempt = self._attempt or self._without_result(is_memory_short=is_memory_short)
        if attempt.status is StepStatus.SUCCEEDED or self.ladder.cause is None:
            return replace(attempt, warnings=(*attempt.warnings, *self._warnings()))
        is_timeout = self.ladder.cause is Cause.TIMEOUT
        how = "SIGKILL ended it, after SIGTERM" if self.ladder.last_signal is signal.SIGKILL else "SIGTERM ended it"
        if self.ladder.is_at_end:
            how = "its process had not begun"
        message = "; ".join((how, *self._warnings()))
        failure = attempt.failure
        if failure is None or is_timeout or self._attempt is None:
            failure = _failure(message, exit_code=ExitCode.TIMED_OUT if is_timeout else 128 + signal.SIGTERM)
        status = StepStatus.TIMED_OUT if is_timeout else StepStatus.INTERRUPTED
        return replace(attempt, status=status, failure=failure)

    def _warnings(self) -> Iterator[str]:
        names = self._ended.left_behind if self._ended is not None else ()
        if names:
            were = "a process" if len(names) == 1 else f"{len(names)} processes"
            yield f"{were} that it had started and left behind, {', '.join(names)}, had to be ended"

    def _without_result(self, *, is_memory_short: bool) -> AttemptResult:
        if self._refused is not None:
            return failed(self._refused.reason, exit_code=1)
        if self._ended is None:
            return failed("the process that watches over it was ended", exit_code=1)
        code = self._ended.exit_code
        if code == messages.CHANNEL_CLOSED:
            return failed("the command closed the connection to its run: how it ended is not known", exit_code=1)
        if code >= 0:
            return failed(f"its process ended with exit code {code} before the command did", exit_code=code or 1)
        name = _name_of(-code)
        if -code == signal.SIGKILL and is_memory_short:
            text = f"the system ended its process ({name}): there was not enough memory"
            return failed(text, exit_code=128 - code, kind=MemoryError)
        return failed(f"its process was ended by {name}, which this run did not send", exit_code=128 - code)


def _has_more(source: Channel | LineReader) -> bool:
    # Not select: a run with many branches has more descriptors than it can take.
    poll = select.poll()
    poll.register(source, select.POLLIN)
    return bool(poll.poll(0))


def failed(message: str, *, exit_code: int, kind: type[Exception] = ChildProcessError) -> AttemptResult:
    """The result of a call whose process cannot tell one."""
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
