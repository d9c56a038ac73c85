"""Turns signals into requests to stop: the current item is finished first, then the command is ended.

A signal handler never raises while a command works on a first signal: of transactions that were interrupted by a
raise, a third had committed while the client saw a failure. A thread reads the signals from a file descriptor, so that
they are noticed while a command holds the main thread or has replaced our handler.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from types import FrameType, TracebackType
from typing import Any, Final, Self

from django_runbook.exceptions import Stopped
from django_runbook.process import exits, files, forks, late, unpatched
from django_runbook.process.deadlines import Halt

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
STOPPED: Final = "the run was stopped"
# Supervisors signal a whole group, and terminals send SIGHUP and SIGTERM together: this close, signals count as one.
_SAME_SECONDS: Final = 0.5
# Twenty signals within a second are a second request, and not a third.
_LATER_SECONDS: Final = 1.0
_KICK_SECONDS: Final = 0.2
_CANCEL_SECONDS: Final = 0.6
# A report that cannot be written, to a pipe that nobody reads, does not delay the end of a run for longer.
_REPORT_SECONDS: Final = 1.0
_REPORT_LEAD_SECONDS: Final = 0.1
# No signal has these numbers.
_END: Final = b"\0"
_WAKE: Final = b"\xff"
_SETTLE: Final = b"\xfe"
_SETTLE_SECONDS: Final = 1.0
_LOGGER = logging.getLogger(__name__)
OnStop = Callable[[str, bool], None]


class _Section:
    # A class: a generator-based context manager costs five times as much, and there is one for each call.
    __slots__ = ("_stop",)

    def __init__(self, stop: Stop) -> None:
        self._stop = stop

    def __enter__(self) -> None:
        self._stop.enter_section()

    def __exit__(self, *error: object) -> None:
        self._stop.leave_section()


class _Shield(_Section):
    __slots__ = ()

    def __enter__(self) -> None:
        self._stop.shield(1)

    def __exit__(self, *error: object) -> None:
        self._stop.shield(-1)


class Stop:
    """Collects requests to stop, and ends a command in this process that does not stop by itself.

    As a context manager it listens to SIGINT, SIGTERM and SIGHUP, in the main thread only; elsewhere `request` is the
    only way in. The first request asks for an end. The second one, or ``timeout_seconds`` after the first, ends the
    current command at once. ``on_stop`` is called with the name of the signal at each of the two, and ``cancel`` ends
    the running SQL statements of this process and returns how many there may have been; both are called from another
    thread. With ``exits``, the process belongs to the run: it exits where a command is still running ``force_seconds``
    after that, and signals that come after the context change nothing about how it ends, unless that takes as long.
    """

    def __init__(self, *, timeout_seconds: float = 8.0, force_seconds: float = 2.0, exits: bool = False) -> None:
        self.signal_number: int | None = None
        self.on_stop: OnStop | None = None
        self.cancel: Callable[[], int] | None = None
        self.timeout_seconds = timeout_seconds
        self.request_count = 0
        self._force_seconds = force_seconds
        self._exits = exits
        self._requested_at = math.inf
        self._counted_at = -math.inf
        self._ends_at_once = False
        self._is_immediate_told = False
        self._event = threading.Event()
        self._received: list[int] = []
        self._waiting: deque[Any] = deque()
        self._section_at: float | None = None
        self._section_requests = 0
        self._is_ending = False
        self._is_handled = False
        self._shields = 0
        self._kick_at = self._exit_at = math.inf
        self._reports: list[threading.Thread] = []
        self._previous: dict[int, Any] = {}
        self._read_end = self._write_end = -1
        self._identities: tuple[object, ...] = ()
        self._previous_wakeup = -1
        self._main_thread = 0
        self._watcher: unpatched.Thread | None = None

    # -- the halt of a run -------------------------------------------------------------------------------------------

    @property
    def is_requested(self) -> bool:
        return self.request_count > 0

    @property
    def is_immediate(self) -> bool:
        return self.is_due(since=-math.inf, request_count=0)

    @property
    def grace_seconds(self) -> float:
        return self._force_seconds

    @property
    def reason(self) -> str:
        return STOPPED

    @property
    def exit_code(self) -> int:
        """What a stopped process ends with: 128 plus the number of the signal."""
        return 128 + (self.signal_number or signal.SIGINT)

    @property
    def signal_name(self) -> str:
        return signal.Signals(self.signal_number or signal.SIGTERM).name

    def wait(self, seconds: float) -> bool:
        """Sleep; return True at once when a stop is requested."""
        return self._event.wait(seconds)

    def for_step(self) -> Halt:
        return self

    def wait_for_reports(self) -> None:
        """Wait until ``on_stop`` has returned, so that a summary comes after the signals that led to it."""
        for report in tuple(self._reports):
            report.join(_REPORT_SECONDS)

    def is_due(self, *, since: float, request_count: int) -> bool:
        """Whether something that began at ``since`` (monotonic), after so many requests, must end at once."""
        if not self.is_requested:
            return False
        is_asked_again = self._ends_at_once or self.request_count > max(1, request_count)
        return is_asked_again or time.monotonic() >= max(self._requested_at, since) + self.timeout_seconds

    # -- requests ----------------------------------------------------------------------------------------------------

    def request(self, number: int = signal.SIGTERM) -> None:
        """Request a stop, as a first signal does; later calls change nothing."""
        # A command cannot have taken what did not come as a signal.
        self._is_handled = True
        if not self.is_requested:
            self._count(number)
        self._wake()

    def pass_on(self, number: int) -> None:
        """Request a stop on behalf of another process; a handler that the command has installed gets the signal."""
        if self.has_handler_of_command(number):
            self._count(number)
            os.kill(os.getpid(), number)
        else:
            self.request(number)

    def end(self, number: int = signal.SIGTERM) -> None:
        """Request that the current command ends at once."""
        self.request(number)
        self._ends_at_once = True
        self._wake()

    def signal(self, number: int = signal.SIGTERM) -> None:
        """Count a signal that came to another process; without effect outside of the context."""
        if self._watcher is not None:
            self._is_handled = True
            self._write(bytes((number,)))

    def _count(self, number: int) -> None:
        """Count a signal, unless it belongs to the one before."""
        now = time.monotonic()
        gap_seconds = _SAME_SECONDS if self.request_count < 2 else _LATER_SECONDS
        if now - self._counted_at < gap_seconds:
            return
        self._counted_at = now
        if not self.request_count:
            self.signal_number, self._requested_at = number, now
            # The signal is reported before what it does.
            self._tell(is_immediate=False)
        self.request_count += 1
        self._event.set()

    # -- commands in this process ------------------------------------------------------------------------------------

    @property
    def is_ending(self) -> bool:
        """Whether the current command is being ended."""
        return self._is_ending

    @property
    def was_taken_by_command(self) -> bool:
        """Whether a handler that the current command had installed in place of ours got the signal."""
        return self.is_requested and bool(self._previous) and not self._is_handled

    def has_handler_of_command(self, number: int) -> bool:
        """Return whether the current command has replaced our handler of this signal."""
        return number in self._previous and signal.getsignal(number) != self._handle

    def settle(self) -> None:
        """Wait until the signals that this process has received so far are counted."""
        if self._watcher is None:
            return
        settled = unpatched.original("_thread", "allocate_lock")()
        settled.acquire()
        self._waiting.append(settled)
        if self._write(_SETTLE):
            settled.acquire(timeout=_SETTLE_SECONDS)

    def interruptible(self) -> _Section:
        """Enclose a command: here, and only here, `Stopped` may be raised."""
        return _Section(self)

    def shielded(self) -> _Shield:
        """Enclose our own work during a command, such as reporting its output."""
        return _Shield(self)

    def enter_section(self) -> None:
        self._section_requests = self.request_count
        self._is_ending = False
        self._section_at = time.monotonic()
        if self.is_requested:
            # What runs after a stop has a time of its own. A handler of an earlier command is no concern of this one.
            self._is_handled = True
            self._wake()

    def leave_section(self) -> None:
        self._section_at = None
        self._kick_at = self._exit_at = math.inf

    def shield(self, by: int) -> None:
        self._shields += by

    # -- listening ---------------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        if threading.current_thread() is not threading.main_thread():
            return self
        # Where threads are replaced by greenlets, their module has other numbers.
        self._main_thread = unpatched.original("_thread", "get_ident")()
        self._previous_wakeup = self._open_pipe()
        for number in SIGNALS:
            # nohup and background jobs ignore some signals on purpose.
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._previous[number] = signal.signal(number, self._handle)
        forks.reset_in_children(self._handle)
        self._start_watcher()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._watcher is None:
            return
        if self._exits:
            late.ignore(self._previous, patience_seconds=self._force_seconds)
        else:
            restore(self._previous)
        forks.keep_in_children(self._handle)
        self.listen_again()
        with contextlib.suppress(ValueError, OSError):
            signal.set_wakeup_fd(self._previous_wakeup)
        watcher, self._watcher = self._watcher, None
        # A forked process may hold this end of the pipe too, so that closing it alone says nothing.
        self._write(_END)
        watcher.join()
        os.close(self._write_end)
        os.close(self._read_end)

    @property
    def descriptors(self) -> tuple[int, ...]:
        """What must stay open; if a command closes it, signals are not heard before `listen_again`."""
        return () if self._watcher is None else (self._read_end, self._write_end)

    def listen_again(self) -> None:
        """Listen by a new pipe, if a command has closed the one that there was, or given its numbers to other files."""
        if self._watcher is not None and _identities(self.descriptors) != self._identities:
            # The thread of the old one ends as soon as it looks at it, and is not waited for.
            self._open_pipe()
            self._start_watcher()

    def _open_pipe(self) -> int:
        self._read_end, self._write_end = os.pipe()
        for end in (self._read_end, self._write_end):
            os.set_blocking(end, False)
        self._identities = _identities((self._read_end, self._write_end))
        return signal.set_wakeup_fd(self._write_end, warn_on_full_buffer=False)

    def _start_watcher(self) -> None:
        read_end, identities = self._read_end, self._identities

        def wait(seconds: float | None) -> bytes | None:
            """Return what the pipe has after this time; None if a command has closed it, or there is another one."""
            try:
                is_ready = bool(unpatched.original("select", "select")([read_end], [], [], seconds)[0])
                # A new pipe may have the same number.
                if self._identities is not identities or files.identity(read_end) != identities[0]:
                    return None
                return (os.read(read_end, 64) or None) if is_ready else b""
            except (OSError, ValueError):
                return None

        self._watcher = unpatched.start_thread(lambda: self._watch(wait), name="runbook-stop")

    def hand_back(self) -> None:
        """Pass the signals that were received on to the handlers that were there before; call it after the context.

        The host of a run is told to stop this way. A handler may raise, as that of Ctrl-C does.
        """
        received, self._received = self._received, []
        hand_back(received)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self._is_handled = True
        if self._is_ending and not self._shields and time.monotonic() >= self._kick_at:
            raise Stopped(f"ended by {self.signal_name}")

    def _watch(self, wait: Callable[[float | None], bytes | None]) -> None:
        kicked_count = 0
        while (data := wait(self._wait_seconds())) is not None:
            if _END in data:
                return
            for number in data:
                if number in self._previous and kicked_count:
                    kicked_count -= 1
                elif number in self._previous:
                    self._received.append(number)
                    self._count(number)
                elif number in _SETTLE:
                    self._waiting.popleft().release()
            kicked_count += self._enforce()

    def _wait_seconds(self) -> float | None:
        """How long nothing can be due."""
        if not self.is_requested:
            return None
        if self._is_ending:
            return _KICK_SECONDS
        since = self._section_at
        starts = [since] if since is not None else []
        if not self._is_immediate_told:
            starts.append(self._requested_at)
        if not starts or math.isinf(self.timeout_seconds):
            return None
        return max(0.0, max(self._requested_at, min(starts)) + self.timeout_seconds - time.monotonic())

    def _enforce(self) -> int:
        """End the current command where that is due; return how many signals were sent to this process."""
        if not self._is_immediate_told and self.is_immediate:
            self._is_immediate_told = True
            self._tell(is_immediate=True)
        since = self._section_at
        if since is None or not self.is_due(since=since, request_count=self._section_requests):
            return 0
        now = time.monotonic()
        if not self._is_ending:
            # A statement that ends by itself leaves a connection that works; a raise inside of it does not.
            is_canceled = self.cancel is not None and self.cancel() > 0
            self._kick_at = now + (_CANCEL_SECONDS if is_canceled else 0.0)
            self._exit_at = now + self._force_seconds
            self._is_ending = self._section_at is since
        if self._exits and now >= self._exit_at:
            os.write(2, b"the command did not end: the process exits\n")
            exits.leave(self.exit_code)
        return self._kick() if self._is_ending and now >= self._kick_at else 0

    def _kick(self) -> int:
        """Wake the main thread, so that our handler runs there; return how many signals were sent."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            if number in self._previous and signal.getsignal(number) == self._handle:
                signal.pthread_kill(self._main_thread, number)
                return 1
        return 0

    def _wake(self) -> None:
        if self._watcher is not None:
            self._write(_WAKE)

    def _write(self, data: bytes) -> bool:
        # A command may have closed our descriptor, and its number may be another file's now.
        if _identities((self._read_end, self._write_end)) == self._identities:
            with contextlib.suppress(OSError):
                return os.write(self._write_end, data) > 0
        return False

    def _tell(self, *, is_immediate: bool) -> None:
        if self.on_stop is None:
            return
        # In a thread of its own: a listener that hangs, on a pipe that nobody reads, must not delay the stop.
        arguments = (self.on_stop, self.signal_name, is_immediate)
        report = threading.Thread(target=_call, args=arguments, name="runbook-stop-report", daemon=True)
        self._reports.append(report)
        report.start()
        report.join(_REPORT_LEAD_SECONDS)


def restore(handlers: Mapping[int, Any]) -> None:
    """Give signals back the handlers that they had; None stands for one that Python does not know."""
    for number, handler in handlers.items():
        signal.signal(number, handler if handler is not None else signal.SIG_DFL)


def hand_back(numbers: Iterable[int]) -> None:
    """Pass signals on to their handlers, each once. What only has a default action was asked to end, and is left."""
    for number in dict.fromkeys(numbers):
        handler = signal.getsignal(number)
        # A run of ours has noticed it by itself.
        if callable(handler) and not isinstance(getattr(handler, "__self__", None), Stop):
            signal.raise_signal(number)


def _identities(descriptors: Iterable[int]) -> tuple[object, ...]:
    return tuple(files.identity(descriptor) for descriptor in descriptors)


def _call(on_stop: OnStop, name: str, is_immediate: bool) -> None:  # noqa: FBT001 - the arguments of a thread
    try:
        on_stop(name, is_immediate)
    except Exception:
        _LOGGER.exception("The stop could not be reported")
