"""A small process that has set Django up once, and forks itself for each step that runs in a process of its own.

It has no connections and no threads, so that a fork is safe and takes milliseconds. It is the parent of the processes
that it makes: it knows when one has ended, ends what that one leaves behind, and ends all of them when the run is gone.
multiprocessing's fork server does less (a killed run leaves its children alive), stays until its process ends, and
runs the project's manage.py again in each child.
"""

from __future__ import annotations

import contextlib
import gc
import os
import select
import signal
import socket
import sys
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from django_runbook.executors.call import Ended, Forked
from django_runbook.executors.channel import Channel

FORK: Final = b"f"
# What a command starts and leaves behind has this long to end after a SIGTERM.
LEFT_BEHIND_SECONDS: Final = 1.0
_POLL_SECONDS: Final = 0.05


@dataclass(slots=True)
class _Child:
    """A process that was forked. ``left_behind`` is filled, and ``kill_at`` set, when it has ended before its own."""

    pid: int
    status: Channel
    left_behind: tuple[str, ...] = ()
    kill_at: float | None = None


def main(descriptor: int, commands: tuple[str, ...]) -> None:
    """Serve the run at the other end of this socket until it is gone; ``commands`` are imported beforehand."""
    end = socket.socket(fileno=descriptor)
    problem = ""
    try:
        _prepare(commands)
    except Exception:  # noqa: BLE001 - each step that needs this process tells of it
        problem = traceback.format_exc()
    # What is here now is shared by all that are forked, as long as no collection writes into it.
    gc.freeze()
    _Server(end, problem=problem).serve()


def _prepare(commands: tuple[str, ...]) -> None:
    """Import what every step needs, and these commands."""
    import django
    from django.db import connections

    django.setup()
    from django_runbook.binding import catalog
    from django_runbook.executors import child  # noqa: F401 - imported once, for all that are forked

    for command in commands:
        # What cannot be loaded fails again, and is told of, where it is called.
        with contextlib.suppress(Exception):
            catalog.load(command)
    # An app may have asked the database when it became ready.
    connections.close_all()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()


class _Server:
    def __init__(self, end: socket.socket, *, problem: str) -> None:
        self._end = end
        self._problem = problem
        self._children: dict[int, _Child] = {}
        self._wakeup_read, self._wakeup_write = os.pipe()
        for one in (self._wakeup_read, self._wakeup_write):
            os.set_blocking(one, False)

    def serve(self) -> None:
        """Fork when asked to, and tell how those that were forked have ended."""
        # The terminal's Ctrl-C is for the run, which tells its children in its own way.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        signal.set_wakeup_fd(self._wakeup_write, warn_on_full_buffer=False)
        while True:
            is_waiting = any(child.kill_at is not None for child in self._children.values())
            sources: list[Any] = [self._end, self._wakeup_read]
            ready, _, _ = select.select(sources, [], [], _POLL_SECONDS if is_waiting else None)
            if self._wakeup_read in ready:
                with contextlib.suppress(BlockingIOError):
                    os.read(self._wakeup_read, 4096)
            if self._end in ready and not self._accept():
                self._end_all()
                return
            for child in tuple(self._children.values()):
                self._look_after(child)

    def _accept(self) -> bool:
        try:
            data, descriptors, _, _ = socket.recv_fds(self._end, 1, 4)
        except ConnectionError:
            return False
        if not data:
            return False
        channel, status = (Channel(socket.socket(fileno=descriptor)) for descriptor in descriptors[:2])
        out, err = descriptors[2:]
        pid = os.fork()
        if pid == 0:
            status.close()
            self._become(channel, out, err)
        channel.close()
        os.close(out)
        os.close(err)
        self._children[pid] = _Child(pid=pid, status=status)
        with contextlib.suppress(OSError):
            status.send(Forked(pid=pid))
        return True

    def _become(self, channel: Channel, out: int, err: int) -> None:
        """Be the process of a step; never returns."""
        exit_code = 1
        try:
            # A session, and so a process group, of its own: one signal reaches all that it starts.
            os.setsid()
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            os.dup2(out, 1)
            os.dup2(err, 2)
            for one in (out, err, self._wakeup_read, self._wakeup_write):
                os.close(one)
            self._end.close()
            for sibling in self._children.values():
                sibling.status.close()
            if self._problem:
                os.write(2, self._problem.encode())
            else:
                from django_runbook.executors import child

                child.run(channel)
                exit_code = 0
        except BaseException:  # noqa: BLE001 - this process ends here, whatever it is
            os.write(2, traceback.format_exc().encode())
        finally:
            os._exit(exit_code)

    def _look_after(self, child: _Child) -> None:
        if not _has_ended(child.pid):
            return
        others = list(_members(child.pid))
        if others and child.kill_at is None:
            child.left_behind = tuple(name for _, name in others)
            child.kill_at = time.monotonic() + LEFT_BEHIND_SECONDS
            _signal_group(child.pid, signal.SIGTERM)
            return
        if others and child.kill_at is not None and time.monotonic() < child.kill_at:
            return
        # The first process of the group is not waited for yet, so that no other group can have got its number.
        _signal_group(child.pid, signal.SIGKILL)
        _, status = os.waitpid(child.pid, 0)
        del self._children[child.pid]
        ended = Ended(exit_code=os.waitstatus_to_exitcode(status), left_behind=child.left_behind)
        with contextlib.suppress(OSError):
            child.status.send(ended)
        child.status.close()

    def _end_all(self) -> None:
        for child in self._children.values():
            _signal_group(child.pid, signal.SIGKILL)
        for child in self._children.values():
            os.waitpid(child.pid, 0)


def _has_ended(pid: int) -> bool:
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None


def _signal_group(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _members(group: int) -> Iterator[tuple[int, str]]:
    """The processes of a group, without the first, as far as the system tells: Linux does."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            text = (folder / "stat").read_text(errors="replace")
        except OSError:
            continue
        name, _, rest = text.partition("(")[2].rpartition(")")
        state, _, process_group, *_ = rest.split()
        if int(process_group) == group and int(folder.name) != group and state not in "ZX":
            yield int(folder.name), name


def command_line(descriptor: int, commands: tuple[str, ...]) -> list[str]:
    """What starts this process: the same interpreter, with the same modules in reach."""
    flags: list[str] = ["-O"] * sys.flags.optimize
    for option in sys.warnoptions:
        flags += ["-W", option]
    path: Any = [entry or str(Path.cwd()) for entry in sys.path]
    begin = f"import sys; sys.path[:] = {path!r}; from django_runbook.executors.server import main"
    return [sys.executable, *flags, "-c", f"{begin}; main({descriptor}, {commands!r})"]
