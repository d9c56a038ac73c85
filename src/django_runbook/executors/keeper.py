"""Runs as the parent of a step's process: reports how the step ends, and ends its remaining descendants.

On Linux the keeper is a subreaper, so that every descendant of the step stays below it, even in another session.
It does not use Django, and has one thread.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, NoReturn

from django_runbook.executors import listing
from django_runbook.executors.channel import Channel
from django_runbook.executors.messages import Ended, Forked, StartFailed
from django_runbook.process import unpatched

# Remaining descendants have this long to end after SIGTERM.
LEFT_BEHIND_SECONDS: Final = 1.0
# A process that waits for a device does not end even after SIGKILL.
_KILL_SECONDS: Final = 5.0
_POLL_SECONDS: Final = 0.05
_PARENT_SECONDS: Final = 0.5
_READABLE: Final = 1  # POLLIN; a closed other end is reported too
_SUBREAPER: Final = 36  # PR_SET_CHILD_SUBREAPER of <linux/prctl.h>


def keep(
    step: Callable[[], None], *, status: Channel, parent_end: int, of_step: Sequence[int], marks: Sequence[int]
) -> NoReturn:
    """Run ``step`` in a child, and report over ``status``; never return.

    ``parent_end`` becomes readable when the parent ends: then the step is killed, with all its descendants. Only the
    step uses the descriptors ``of_step``; ``marks`` stay open until it has ended.
    """
    try:
        _Keeper(step, status, parent_end, of_step=of_step, marks=marks).serve()
    finally:
        os._exit(0)


class _Keeper:
    def __init__(
        self,
        step: Callable[[], None],
        status: Channel,
        parent_end: int,
        *,
        of_step: Sequence[int],
        marks: Sequence[int],
    ) -> None:
        self._step = step
        self._of_step = of_step
        self._marks = marks
        self._status = status
        self._parent_end = parent_end
        self._parent = os.getppid()
        self._pid = 0
        self._wait_status: int | None = None
        self._wakeup_read, self._wakeup_write = os.pipe()
        self._poll: Any = unpatched.original("select", "poll")()

    def serve(self) -> None:
        _become_subreaper()
        # Supervisors and terminals signal whole groups; the run signals the step.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        for end in (self._wakeup_read, self._wakeup_write):
            os.set_blocking(end, False)
        unpatched.original("signal", "signal")(signal.SIGCHLD, lambda number, frame: None)
        signal.set_wakeup_fd(self._wakeup_write, warn_on_full_buffer=False)
        for end in (self._wakeup_read, self._parent_end):
            self._poll.register(end, _READABLE)
        try:
            self._pid = unpatched.fork()
        except OSError as error:
            self._send(StartFailed(reason=f"the subprocess could not be started: {error.strerror}"))
            return
        if self._pid == 0:
            self._become_step()
        for descriptor in self._of_step:
            os.close(descriptor)
        self._send(Forked(pid=self._pid, keeper_pid=os.getpid()))
        exit_code, left_behind = self._watch()
        # Once it has the message, the run may acquire the same lock for the next step.
        for descriptor in self._marks:
            os.close(descriptor)
        self._send(Ended(exit_code=exit_code, left_behind=left_behind))

    def _become_step(self) -> NoReturn:
        exit_code = 1
        try:
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGHUP):
                unpatched.original("signal", "signal")(number, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            # With a session, and so a process group, of its own, one signal reaches all processes of the step.
            os.setsid()
            for end in (self._wakeup_read, self._wakeup_write, self._parent_end):
                os.close(end)
            self._status.close()
            unpatched.start_loop_after_fork()
            self._step()
            exit_code = 0
        except SystemExit as error:
            exit_code = error.code if isinstance(error.code, int) else 1
        except BaseException:  # noqa: BLE001 - an internal error, which only this process can report
            with contextlib.suppress(OSError):
                os.write(self._of_step[-1], traceback.format_exc().encode(errors="backslashreplace"))
        finally:
            os._exit(exit_code)

    def _watch(self) -> tuple[int, tuple[str, ...]]:
        """Wait for the step, end its remaining descendants, and return the exit code and their names."""
        while not self._has_ended():
            if self._wait(_PARENT_SECONDS):
                self._end_all()
        left_behind = tuple(name for _, name in self._descendants())
        if left_behind:
            self._terminate_descendants()
        # The group leader is not reaped yet, so no other group can have its number.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._pid, signal.SIGKILL)
        status = self._wait_status
        if status is None:
            _, status = os.waitpid(self._pid, 0)
        return os.waitstatus_to_exitcode(status), left_behind

    def _wait(self, seconds: float) -> bool:
        """Wait for an event; return whether the parent has ended."""
        ready = {end for end, _ in self._poll.poll(1000 * seconds)}
        if self._wakeup_read in ready:
            with contextlib.suppress(BlockingIOError):
                os.read(self._wakeup_read, 4096)
        # A remaining process of an earlier step may hold the other end open.
        return self._parent_end in ready or os.getppid() != self._parent

    def _has_ended(self) -> bool:
        """Return whether the step has ended; reap other children, but not the step."""
        if not hasattr(os, "waitid"):
            # macOS before Python 3.13. The number of a group is in use while one of its processes lives.
            pid, status = os.waitpid(self._pid, os.WNOHANG)
            self._wait_status = status if pid else None
            return pid != 0
        while True:
            found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT | os.WNOHANG)
            if found is None:
                return False
            if found.si_pid == self._pid:
                return True
            os.waitpid(found.si_pid, os.WNOHANG)

    def _descendants(self) -> Iterator[tuple[int, str]]:
        for pid, name in listing.descendants(os.getpid(), group=self._pid):
            if pid != self._pid:
                yield pid, name

    def _terminate_descendants(self) -> None:
        deadline = time.monotonic() + LEFT_BEHIND_SECONDS
        self._signal_descendants(signal.SIGTERM)
        while self._reap() and time.monotonic() < deadline:
            if self._wait(_POLL_SECONDS):
                break
        self._kill_descendants()

    def _kill_descendants(self) -> None:
        # Some descendants may fork while others are killed.
        deadline = time.monotonic() + _KILL_SECONDS
        while self._signal_descendants(signal.SIGKILL) and time.monotonic() < deadline:
            self._reap()
            self._poll.poll(1000 * _POLL_SECONDS)

    def _signal_descendants(self, number: signal.Signals) -> int:
        count = 0
        for pid, _ in self._descendants():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, number)
                count += 1
        return count

    def _reap(self) -> bool:
        """Reap ended children except the step; return whether a descendant remains."""
        for pid in listing.children(os.getpid()):
            if pid != self._pid:
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, os.WNOHANG)
        return any(True for _ in self._descendants())

    def _end_all(self) -> NoReturn:
        """Kill the step and its descendants, because the run has ended."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._pid, signal.SIGKILL)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(self._pid, signal.SIGKILL)
        self._kill_descendants()
        os._exit(0)

    def _send(self, message: object) -> None:
        with contextlib.suppress(OSError):
            self._status.send(message)


def _become_subreaper() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)
