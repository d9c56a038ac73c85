"""Signals to the wish to stop: first the current item is finished, then the command is ended, then the process.

A signal handler never raises while a command does its work on a first signal: of transactions that were cut off by a
raise, a third had committed while the client saw a failure. Signals are read from a file descriptor by a thread, so
that they are seen also where a command holds the main thread or has put a handler of its own.
"""

from __future__ import annotations

import logging
import math
import os
import select
import signal
import stat
import threading
import time
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Final, Self

from django_runbook.exceptions import Stopped

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_KICK_SECONDS: Final = 0.2
_CANCEL_SECONDS: Final = 0.6
# No signal has this number.
_END: Final = b"\0"
_LOGGER = logging.getLogger(__name__)
Told = Callable[[str, bool], None]


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
    """The wish to stop, and the ladder of DESIGN section 4 that enforces it.

    As a context manager around a run it listens to SIGINT, SIGTERM and SIGHUP, in the main thread only; elsewhere
    `request` is the only way in. ``on_stop`` is told each step of the ladder, and ``cancel`` ends the statements that
    the command waits for and says how many there may have been; both are called from another thread.
    """

    def __init__(self, *, timeout_seconds: float = 8.0, force_seconds: float = 2.0) -> None:
        self.signal_number: int | None = None
        self.on_stop: Told | None = None
        self._timeout_seconds = timeout_seconds
        self._force_seconds = force_seconds
        self._event = threading.Event()
        self._is_ending = False
        self._section = 0
        self._ending_section: int | None = None
        self._is_inside = False
        self._is_handled = False
        self._shields = 0
        self.cancel: Callable[[], int] | None = None
        self._kick_at = math.inf
        self._previous: dict[int, Any] = {}
        self._read_end = self._write_end = -1
        self._previous_wakeup = -1
        self._watchdog: threading.Thread | None = None

    @property
    def is_requested(self) -> bool:
        return self._event.is_set()

    @property
    def is_ending(self) -> bool:
        """Whether the current command is being ended by force."""
        return self._is_ending and self._section == self._ending_section

    @property
    def is_immediate(self) -> bool:
        """Whether the ladder has come to where commands are ended by force, whichever it was."""
        return self._is_ending

    @property
    def was_taken_by_command(self) -> bool:
        """Whether a handler that the command had put in our place got the signal."""
        return self.is_requested and bool(self._previous) and not self._is_handled

    @property
    def exit_code(self) -> int:
        """What the process ends with when it was stopped: 128 and the number of the signal."""
        return 128 + (self.signal_number or signal.SIGINT)

    def wait(self, seconds: float) -> bool:
        """Sleep; returns True at once when a stop is asked for."""
        return self._event.wait(seconds)

    def request(self, number: int = signal.SIGTERM) -> None:
        """Ask to stop, as a first signal does."""
        # No command can have taken what did not come as a signal.
        self._is_handled = True
        self._begin(number)

    def signal(self, number: int = signal.SIGTERM) -> None:
        """Take one rung of the ladder, as if this signal had come; without effect outside of the context."""
        if self._watchdog is not None:
            self._is_handled = True
            os.write(self._write_end, bytes((number,)))

    def interruptible(self) -> _Section:
        """Around a command: here, and nowhere else, the ladder may raise `Stopped`."""
        return _Section(self)

    def shielded(self) -> _Shield:
        """Around our own work inside a command's call, such as telling of its output."""
        return _Shield(self)

    def enter_section(self) -> None:
        self._section += 1
        self._is_inside = True

    def leave_section(self) -> None:
        self._is_inside = False

    def shield(self, by: int) -> None:
        self._shields += by

    def __enter__(self) -> Self:
        if threading.current_thread() is not threading.main_thread():
            return self
        self._read_end, self._write_end = os.pipe()
        os.set_blocking(self._write_end, False)
        os.set_blocking(self._read_end, False)
        self._previous_wakeup = signal.set_wakeup_fd(self._write_end, warn_on_full_buffer=False)
        for number in SIGNALS:
            # nohup and background jobs ignore some signals on purpose.
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._previous[number] = signal.signal(number, self._handle)
        self._watchdog = threading.Thread(target=self._watch, name="runbook-stop", daemon=True)
        self._watchdog.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._watchdog is None:
            return
        for number, handler in self._previous.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
        signal.set_wakeup_fd(self._previous_wakeup)
        watchdog, self._watchdog = self._watchdog, None
        # A process that a command forked may hold this end of the pipe too, so that closing it alone says nothing.
        if stat.S_ISFIFO(os.fstat(self._write_end).st_mode):
            os.write(self._write_end, _END)
        os.close(self._write_end)
        watchdog.join()
        os.close(self._read_end)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self._is_handled = True
        if self._is_current and not self._shields and time.monotonic() >= self._kick_at:
            raise Stopped(f"ended by {signal.Signals(number).name}")

    def _watch(self) -> None:
        deadline: float | None = None
        kicked_count = 0
        while True:
            timeout = None if deadline is None else max(0.0, deadline - time.monotonic())
            if self._is_ending and self._is_current:
                timeout = min(timeout or 0.0, _KICK_SECONDS)
            ready, _, _ = select.select([self._read_end], [], [], timeout)
            data = os.read(self._read_end, 64) if ready else b""
            if ready and (not data or _END in data):
                return
            for number in data:
                if number in self._previous and kicked_count:
                    kicked_count -= 1
                elif number in self._previous:
                    deadline = self._advance(number, deadline)
            if deadline is not None and time.monotonic() >= deadline:
                deadline = self._advance(self.signal_number or signal.SIGTERM, deadline)
            if self._is_ending and self._is_current:
                kicked_count += self._kick() if time.monotonic() >= self._kick_at else 0

    @property
    def _is_current(self) -> bool:
        return self._is_inside and self._section == self._ending_section

    def _begin(self, number: int) -> None:
        if not self.is_requested:
            self.signal_number = number
            self._event.set()
            self._tell(is_immediate=False)

    def _advance(self, number: int, deadline: float | None) -> float:
        """One rung further; returns when the next one is due."""
        if not self.is_requested or deadline is None:
            self._begin(number)
            return time.monotonic() + self._timeout_seconds
        if not self._is_ending:
            self._ending_section = self._section
            self._is_ending = True
            self._tell(is_immediate=True)
            # A statement that ends by itself leaves a connection that works; a raise inside of it does not.
            is_cancelled = self._is_inside and self.cancel is not None and self.cancel() > 0
            self._kick_at = time.monotonic() + (_CANCEL_SECONDS if is_cancelled else 0.0)
            return time.monotonic() + self._force_seconds
        os._exit(self.exit_code)

    def _kick(self) -> int:
        """Wake the main thread, so that our handler runs there; returns how many signals we sent to ourselves."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            if number in self._previous and signal.getsignal(number) == self._handle:
                main = threading.main_thread().ident
                assert main is not None
                signal.pthread_kill(main, number)
                return 1
        return 0

    def _tell(self, *, is_immediate: bool) -> None:
        if self.on_stop is None:
            return
        # In a thread of its own: a listener that hangs, on a pipe that nobody reads, must not hold up the ladder.
        name = signal.Signals(self.signal_number or signal.SIGTERM).name
        threading.Thread(target=_tell, args=(self.on_stop, name, is_immediate), daemon=True).start()


def _tell(on_stop: Told, name: str, is_immediate: bool) -> None:  # noqa: FBT001 - the arguments of a thread
    try:
        on_stop(name, is_immediate)
    except Exception:
        _LOGGER.exception("The stop could not be told of")
