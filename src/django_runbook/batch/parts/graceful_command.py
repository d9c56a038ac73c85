"""A command that ends in good order: signals and other wishes to stop become a flag that it looks at.

    class Command(GracefulCommand):
        def handle(self, *args, **options):
            while not self.stopping:
                for message in queue.receive():
                    process(message)
                    if self.stopping:
                        break
                self.wait(5)

``kill PID``, or Ctrl-C, lets it finish the message at hand, and the process ends with 143, or 130. A second signal
ends it at once.
"""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any, Final, Self

from django.core.management.base import CommandError

from django_runbook.batch.parts.mixin import Part
from django_runbook.exceptions import Stopped
from django_runbook.process import forks, late, stopping

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_LOOK_SECONDS: Final = 0.05
# For what is left of a process that was stopped.
_END_SECONDS: Final = 2.0


class GracefulCommand(Part):
    """A command with a flag, `stopping`, that it looks at after each item of its work.

    The flag turns true at SIGINT, SIGTERM and SIGHUP, when a runner says so (through the stealth option
    ``stopping``, a callable), or after `request_stop`. Signals are listened to in the main thread only, and only
    where no runner does it: elsewhere, in a thread of a server for example, the other two are left.
    """

    stealth_options: tuple[str, ...] = ("stopping",)

    _stop_reason: str | None = None
    _asks: Callable[[], bool] | None = None
    _listener: _Listener | None = None

    @property
    def stopping(self) -> bool:
        """Whether the command should finish its current item and return."""
        if self._stop_reason is not None:
            return True
        if self._listener is not None:
            return self._listener.signal_number is not None
        return self._asks is not None and self._asks()

    @property
    def stop_reason(self) -> str:
        """Why the command should stop, for a message; empty while it should not."""
        if self._stop_reason is not None:
            return self._stop_reason
        if self._listener is not None and self._listener.signal_number is not None:
            return signal.Signals(self._listener.signal_number).name
        return "asked by the runner" if self.stopping else ""

    def request_stop(self, reason: str) -> None:
        """Make `stopping` true, from any thread; the first reason is kept."""
        if self._stop_reason is None:
            self._stop_reason = reason

    def wait(self, seconds: float) -> bool:
        """Sleep, but no longer than until a stop is asked for; returns whether it is."""
        # In short naps: an event that a signal handler sets could wait for a lock that the interrupted code holds.
        end = time.monotonic() + seconds
        while not self.stopping:
            left = end - time.monotonic()
            if left <= 0:
                return False
            time.sleep(min(left, _LOOK_SECONDS))
        return True

    def execute(self, *args: Any, **options: Any) -> str | None:
        """Run the command; a signal that it got becomes the exit code 128 and its number."""
        self._asks = options.get("stopping")
        is_own = self._asks is None and threading.current_thread() is threading.main_thread()
        try:
            return self._execute_listening(*args, **options) if is_own else super().execute(*args, **options)
        finally:
            self._asks = self._stop_reason = None

    def _execute_listening(self, *args: Any, **options: Any) -> str | None:
        owns_process = bool(getattr(self, "_called_from_command_line", False))
        with _Listener(exits=owns_process) as listener:
            self._listener = listener
            try:
                output = super().execute(*args, **options)
            except Stopped as error:
                if listener.signal_number is None:
                    raise
                self.stderr.write(str(error))
                output = None
            finally:
                self._listener = None
        number = listener.signal_number
        if number is None:
            return output
        if owns_process:
            sys.exit(128 + number)
        # The host of this command had the signals before, and learns of them now.
        stopping.hand_back(listener.received)
        raise CommandError(f"stopped by {signal.Signals(number).name}", returncode=128 + number)


class _Listener:
    """Signals to a number that can be looked at; a second one raises `Stopped`, and what was there before is restored.

    A command that calls another one, both with a listener, is told of what the inner one hears. With ``exits``, the
    process ends with the command: once it has heard a signal, others do not change its exit code.
    """

    def __init__(self, *, exits: bool) -> None:
        self._exits = exits
        self._number: int | None = None
        self.received: list[int] = []
        self._outer: _Listener | None = None
        self._previous: dict[int, Any] = {}
        self._is_active = False

    @property
    def signal_number(self) -> int | None:
        if self._number is None and self._outer is not None:
            return self._outer.signal_number
        return self._number

    def __enter__(self) -> Self:
        for number in SIGNALS:
            handler = signal.getsignal(number)
            # nohup and background jobs ignore some signals on purpose.
            if handler is not signal.SIG_IGN:
                owner = getattr(handler, "__self__", None)
                self._outer = owner if isinstance(owner, _Listener) else self._outer
                self._previous[number] = signal.signal(number, self._handle)
        forks.reset_in_children(self._handle)
        self._is_active = True
        return self

    def __exit__(self, *error: object) -> None:
        # From here on a raise would leave a handler behind.
        self._is_active = False
        forks.keep_in_children(self._handle)
        if self._exits and self._number is not None:
            late.ignore(self._previous, patience_seconds=_END_SECONDS)
        else:
            # A command that put a handler of its own in our place keeps it no longer than ours.
            stopping.restore(self._previous)

    def hear(self, number: int) -> bool:
        """Note a signal; returns whether it is the first."""
        is_first = self.signal_number is None
        self._number = self._number or number
        if self._outer is not None:
            self._outer.hear(number)
        return is_first

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.received.append(number)
        if not self.hear(number) and self._is_active:
            raise Stopped(f"ended at once by a second signal, {signal.Signals(number).name}")
