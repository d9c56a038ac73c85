"""Turns signals into requests to stop: the current item is finished first, then the command is ended.

A signal handler never raises on a first signal: of the transactions that an exception interrupted, a third had
committed although the client saw a failure. A thread reads the signals from a pipe, so that they are noticed while a
command holds the main thread or has replaced our handler.
"""

from __future__ import annotations

import contextlib
import math
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from types import FrameType, TracebackType
from typing import Any, Final, Self

from django_runbook.exceptions import Stopped
from django_runbook.process import unpatched
from django_runbook.process.interruption import RAISE_AGAIN_SECONDS, Interruption, Shield
from django_runbook.process.signal_handlers import SignalHandlers
from django_runbook.process.signal_pipe import SignalPipe
from django_runbook.process.stop_requests import StopRequests

# Messages to the watcher; no signal has these numbers.
_END: Final = b"\0"
_WAKE: Final = b"\xff"
_SETTLE: Final = b"\xfe"
_SETTLE_SECONDS: Final = 1.0


class _Interruptible:
    # A class: a generator-based context manager costs five times as much, and one is entered for each call.
    __slots__ = ("_stop",)

    def __init__(self, stop: Stop) -> None:
        self._stop = stop

    def __enter__(self) -> None:
        self._stop.begin_command()

    def __exit__(self, *error: object) -> None:
        self._stop.end_command()


class Stop(StopRequests):
    """Collects requests to stop, and ends a command in this process that does not stop by itself.

    As a context manager in the main thread, it listens to SIGINT, SIGTERM and SIGHUP. In other threads, only `request`
    stops a run. The first request asks the command to stop; the second request, or ``timeout_seconds`` after the first
    one, ends the current command immediately. Both times, a thread calls ``on_stop`` with the name of the signal.
    ``cancel`` cancels the running SQL statements of this process and returns how many there may have been; it is
    called from another thread. With ``exits``, the process belongs to the run: it exits if a command is still running
    ``force_seconds`` later, and signals after the context do not change the exit code unless the end takes as long.
    """

    def __init__(self, *, timeout_seconds: float = 8.0, force_seconds: float = 2.0, exits: bool = False) -> None:
        super().__init__(timeout_seconds=timeout_seconds, grace_seconds=force_seconds)
        self.cancel: Callable[[], int] | None = None
        self._force_seconds = force_seconds
        self._exits = exits
        self._is_immediate_reported = False
        self._received: list[int] = []
        self._settling: deque[Any] = deque()
        self._interruption = Interruption(force_seconds=force_seconds, exits=exits)
        self._handlers = SignalHandlers(self._handle)
        self._is_handled = False
        self._pipe: SignalPipe | None = None
        self._previous_wakeup = -1
        self._watcher: unpatched.Thread | None = None

    # -- requests ----------------------------------------------------------------------------------------------------

    def request(self, number: int = signal.SIGTERM) -> None:
        """Request a stop, as a first signal does; later calls change nothing."""
        # A command cannot have handled a request that was not a signal.
        self._is_handled = True
        if not self.is_requested:
            self.count(number)
        self._wake()

    def pass_on(self, number: int) -> None:
        """Request a stop on behalf of another process; the command's own handler, if any, receives the signal."""
        if self.has_handler_of_command(number):
            self.count(number)
            os.kill(os.getpid(), number)
        else:
            self.request(number)

    def end(self, number: int = signal.SIGTERM) -> None:
        """Request that the current command ends immediately."""
        self.request(number)
        self.ends_immediately = True
        self._wake()

    def signal(self, number: int = signal.SIGTERM) -> None:
        """Count a signal that another process received; does nothing outside the context."""
        if self._watcher is not None:
            self._is_handled = True
            self._write(bytes((number,)))

    # -- commands in this process ------------------------------------------------------------------------------------

    @property
    def is_ending(self) -> bool:
        """Return whether the current command is being ended."""
        return self._interruption.is_ending

    @property
    def was_taken_by_command(self) -> bool:
        """Return whether the current command had replaced our handler and received the signal instead."""
        return self.is_requested and bool(self._handlers.numbers) and not self._is_handled

    def has_handler_of_command(self, number: int) -> bool:
        """Return whether the current command has replaced our handler of this signal."""
        return self._handlers.is_replaced(number)

    def settle(self) -> None:
        """Wait until the signals that this process has received so far are counted."""
        # Nearly always, no signal came: asking the watcher for its answer would take two switches of threads.
        if self._watcher is None or self._pipe is None or self._pipe.is_drained:
            return
        settled = unpatched.original("_thread", "allocate_lock")()
        settled.acquire()
        self._settling.append(settled)
        if self._write(_SETTLE):
            settled.acquire(timeout=_SETTLE_SECONDS)

    def interruptible(self) -> _Interruptible:
        """Enclose a command; only inside may `Stopped` be raised."""
        return _Interruptible(self)

    def shielded(self) -> Shield:
        """Enclose our own work during a command, such as reporting its output."""
        return Shield(self._interruption)

    def begin_command(self) -> None:
        self._interruption.begin_command(request_count=self.request_count)
        if self.is_requested:
            # A command that starts after a stop has a stop timeout of its own, and did not handle the earlier signal.
            self._is_handled = True
            self._wake()

    def end_command(self) -> None:
        self._interruption.end_command()

    # -- listening ---------------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        if threading.current_thread() is not threading.main_thread():
            return self
        self._pipe = SignalPipe()
        self._previous_wakeup = self._pipe.connect()
        self._handlers.install()
        self._start_watcher(self._pipe)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._watcher is None:
            return
        if self._exits:
            self._handlers.ignore_late_signals(patience_seconds=self._force_seconds)
        else:
            self._handlers.restore()
        self.listen_again()
        with contextlib.suppress(ValueError, OSError):
            signal.set_wakeup_fd(self._previous_wakeup)
        watcher, self._watcher = self._watcher, None
        # A forked process may hold this end of the pipe too, so closing it does not end the watcher.
        self._write(_END)
        watcher.join()
        if self._pipe is not None:
            self._pipe.close()

    @property
    def descriptors(self) -> tuple[int, ...]:
        """Return the descriptors that must stay open; without them, signals are lost until `listen_again`."""
        return () if self._watcher is None or self._pipe is None else self._pipe.descriptors

    def listen_again(self) -> None:
        """Open a new pipe, if a command has closed the descriptors of the previous one."""
        if self._watcher is None or self._pipe is None or self._pipe.is_intact:
            return
        # The previous watcher ends when it next reads; nothing waits for it.
        previous, self._pipe = self._pipe, SignalPipe()
        previous.abandon()
        self._pipe.connect()
        self._start_watcher(self._pipe)

    def hand_back(self) -> None:
        """Pass the received signals to the previous handlers; call it after the context.

        The host of a run receives its signals this way. A handler may raise, as that of Ctrl-C does.
        """
        received, self._received = self._received, []
        hand_back(received)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self._is_handled = True
        if self._interruption.take_raise():
            raise Stopped(f"ended by {self.signal_name}")

    def _start_watcher(self, pipe: SignalPipe) -> None:
        self._watcher = unpatched.start_thread(lambda: self._watch(pipe), name="runbook-stop")

    def _watch(self, pipe: SignalPipe) -> None:
        own_signal_count = 0
        while (data := pipe.read(self._wait_seconds())) is not None:
            if _END in data:
                return
            for number in data:
                if number in self._handlers.numbers and own_signal_count:
                    own_signal_count -= 1
                elif number in self._handlers.numbers:
                    self._received.append(number)
                    self.count(number)
                elif number in _SETTLE:
                    self._settling.popleft().release()
            own_signal_count += self._enforce()

    def _wait_seconds(self) -> float | None:
        """Return for how long nothing can be due; None for no limit."""
        if not self.is_requested:
            return None
        if self.is_ending:
            return RAISE_AGAIN_SECONDS
        since = self._interruption.command_began_at
        starts = [since] if since is not None else []
        if not self._is_immediate_reported:
            starts.append(self.requested_at)
        if not starts or math.isinf(self.timeout_seconds):
            return None
        return max(0.0, max(self.requested_at, min(starts)) + self.timeout_seconds - time.monotonic())

    def _enforce(self) -> int:
        """End the current command if that is due; return how many signals this process has sent to itself."""
        if not self._is_immediate_reported and self.is_immediate:
            self._is_immediate_reported = True
            self.report(is_immediate=True)
        since, request_count = self._interruption.command_began_at, self._interruption.earlier_request_count
        if since is None or not self.is_due(since=since, request_count=request_count):
            return 0
        is_raise_due = self._interruption.escalate(since, cancel=self.cancel, exit_code=self.exit_code)
        return self._handlers.wake_main_thread() if is_raise_due else 0

    def _wake(self) -> None:
        if self._watcher is not None:
            self._write(_WAKE)

    def _write(self, data: bytes) -> bool:
        return self._pipe is not None and self._pipe.write(data)


def hand_back(numbers: Iterable[int]) -> None:
    """Pass signals to their handlers, each once; a signal that has only a default action is dropped."""
    for number in dict.fromkeys(numbers):
        handler = signal.getsignal(number)
        # An outer run has noticed the signal by itself.
        if callable(handler) and not isinstance(getattr(handler, "__self__", None), Stop):
            signal.raise_signal(number)
