"""Shuts a command down gracefully: signals and stop requests set a flag that the command checks.

    class Command(GracefulCommand):
        def handle(self, *args, **options):
            while not self.stopping:
                for message in queue.receive():
                    process(message)
                    if self.stopping:
                        break
                self.wait(5)

After ``kill PID`` or Ctrl-C the command finishes its current message, and the process exits with 143 or 130. A second
signal ends it immediately.
"""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any, ClassVar, Final, Self

from django.core.management.base import CommandError

from django_runbook.batch.parts.mixin import CommandMixin
from django_runbook.exceptions import Stopped
from django_runbook.process import forks, late, signal_handlers, stopping
from django_runbook.process.django_internals import is_called_from_command_line

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_POLL_SECONDS: Final = 0.05
# How long a stopped process may take to exit.
_END_SECONDS: Final = 2.0


class GracefulCommand(CommandMixin):
    """Adds the flag `stopping`, which the command checks after each item of its work.

    The flag becomes true on SIGINT, SIGTERM and SIGHUP, when a runner stops the command (through the stealth option
    ``stopping``, a callable), or after `request_stop`. Signals are handled in the main thread only, and only if no
    runner handles them.
    """

    stealth_options: tuple[str, ...] = ("stopping",)
    cursor_free_options: ClassVar[tuple[str, ...]] = ("stopping",)

    _stop_reason: str | None = None
    _is_stop_requested: Callable[[], bool] | None = None
    _listener: _Listener | None = None

    @property
    def stopping(self) -> bool:
        """Return whether the command should finish its current item and return."""
        if self._stop_reason is not None:
            return True
        if self._listener is not None:
            return self._listener.signal_number is not None
        return self._is_stop_requested is not None and self._is_stop_requested()

    @property
    def stop_reason(self) -> str:
        """Return the reason for the stop, for messages; empty without a stop."""
        if self._stop_reason is not None:
            return self._stop_reason
        if self._listener is not None and self._listener.signal_number is not None:
            return signal.Signals(self._listener.signal_number).name
        return "requested by the runner" if self.stopping else ""

    def request_stop(self, reason: str) -> None:
        """Set `stopping` to true, from any thread; the first reason is kept."""
        if self._stop_reason is None:
            self._stop_reason = reason

    def wait(self, seconds: float) -> bool:
        """Sleep until the time is over or a stop is requested; returns whether a stop is requested."""
        # In short intervals: an event set by a signal handler could wait for a lock that the interrupted code holds.
        end = time.monotonic() + seconds
        while not self.stopping:
            remaining = end - time.monotonic()
            if remaining <= 0:
                return False
            time.sleep(min(remaining, _POLL_SECONDS))
        return True

    def execute(self, *args: Any, **options: Any) -> str | None:
        """Run the command; after a signal, exit with 128 plus its number."""
        self._is_stop_requested = options.get("stopping")
        is_own = self._is_stop_requested is None and threading.current_thread() is threading.main_thread()
        try:
            return self._execute_listening(*args, **options) if is_own else super().execute(*args, **options)
        finally:
            self._is_stop_requested = self._stop_reason = None

    def _execute_listening(self, *args: Any, **options: Any) -> str | None:
        owns_process = is_called_from_command_line(self)
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
        # The caller handled signals before this command, and receives them now.
        stopping.hand_back(listener.received)
        raise CommandError(f"stopped by {signal.Signals(number).name}", returncode=128 + number)


class _Listener:
    """Stores the number of the first signal, raises `Stopped` on the second, and restores previous handlers at its end.

    If a graceful command calls another one, the outer listener receives the signals of the inner one too. With
    ``exits``, the process ends with the command: after the first signal, others do not change its exit code.
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
            # nohup and background jobs ignore some signals deliberately.
            if handler is not signal.SIG_IGN:
                owner = getattr(handler, "__self__", None)
                self._outer = owner if isinstance(owner, _Listener) else self._outer
                self._previous[number] = signal.signal(number, self._handle)
        forks.reset_in_children(self._handle)
        self._is_active = True
        return self

    def __exit__(self, *error: object) -> None:
        # From here on, an exception would leave a handler installed.
        self._is_active = False
        forks.keep_in_children(self._handle)
        if self._exits and self._number is not None:
            late.ignore(self._previous, patience_seconds=_END_SECONDS)
        else:
            # Also replaces a handler that the command itself has installed.
            signal_handlers.restore(self._previous)

    def note(self, number: int) -> bool:
        """Store a signal; returns whether it is the first."""
        is_first = self.signal_number is None
        self._number = self._number or number
        if self._outer is not None:
            self._outer.note(number)
        return is_first

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.received.append(number)
        if not self.note(number) and self._is_active:
            raise Stopped(f"ended immediately by a second signal, {signal.Signals(number).name}")
