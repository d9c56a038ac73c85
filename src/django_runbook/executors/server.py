"""A small process that has set Django up once, and forks itself for each step that runs in a process of its own.

It has no connections and no threads, so that a fork is safe and takes milliseconds. It is the parent of the processes
that it makes: it knows when one has ended, ends what that one leaves behind, and ends all of them when the run is gone.
multiprocessing's fork server does less (a killed run leaves its children alive), stays until its process ends, and
runs the project's manage.py again in each child.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from django_runbook.executors.call import CHANNEL_CLOSED, Ended, Forked, Refused
from django_runbook.executors.channel import Channel

FORK: Final = b"f"
# What a command starts and leaves behind has this long to end after a SIGTERM.
LEFT_BEHIND_SECONDS: Final = 1.0
_POLL_SECONDS: Final = 0.05
_PARENT_SECONDS: Final = 0.5
_PROC: Final = Path("/proc")
# The two channels and the two pipes of a process.
_GIVEN_COUNT: Final = 4


@dataclass(slots=True)
class _Child:
    """A process that was forked. ``left_behind`` is filled, and ``kill_at`` set, when it has ended before its own."""

    pid: int
    status: Channel
    left_behind: tuple[str, ...] = ()
    kill_at: float | None = None
    wait_status: int | None = None


def main(end: socket.socket, commands: tuple[str, ...]) -> None:
    """Serve the run at the other end of this socket until it is gone; ``commands`` are imported beforehand."""
    # Whoever started the run may have blocked or ignored what this process lives by.
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    problem: BaseException | None = None
    try:
        _prepare(commands)
    except BaseException as error:  # noqa: BLE001 - each step that needs this process tells of it
        problem = error
    # What is here now is shared by all that are forked, as long as no collection writes into it.
    gc.freeze()
    _Server(end, problem=problem).serve()
    # Nothing was done here that an end of Python's own could have to finish.
    os._exit(0)


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
    def __init__(self, end: socket.socket, *, problem: BaseException | None) -> None:
        self._end = end
        self._problem = problem
        self._children: dict[int, _Child] = {}
        self._parent = os.getppid()
        self._wakeup_read, self._wakeup_write = os.pipe()
        for one in (self._wakeup_read, self._wakeup_write):
            os.set_blocking(one, False)

    def serve(self) -> None:
        """Fork when asked to, and tell how those that were forked have ended."""
        # The terminal's Ctrl-C is for the run, which tells its children in its own way.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        signal.set_wakeup_fd(self._wakeup_write, warn_on_full_buffer=False)
        poll = select.poll()
        for source in (self._end.fileno(), self._wakeup_read):
            poll.register(source, select.POLLIN)
        while True:
            is_waiting = any(child.kill_at is not None for child in self._children.values())
            ready = {source for source, _ in poll.poll(1000 * (_POLL_SECONDS if is_waiting else _PARENT_SECONDS))}
            if self._wakeup_read in ready:
                with contextlib.suppress(BlockingIOError):
                    os.read(self._wakeup_read, 4096)
            # A process that an earlier step left behind may hold the other end of the socket.
            is_alone = os.getppid() != self._parent
            if is_alone or (self._end.fileno() in ready and not self._accept()):
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
        if len(descriptors) == _GIVEN_COUNT:
            self._fork(*descriptors)
        else:
            # There are too many open files here; the system has closed those that it could not hand over.
            for descriptor in descriptors:
                os.close(descriptor)
        return True

    def _fork(self, talk: int, tell: int, out: int, err: int) -> None:
        for descriptor in (talk, tell, out, err):
            # Received descriptors are inherited otherwise, by all that a command starts.
            os.set_inheritable(descriptor, False)  # noqa: FBT003 - as the system call has it
        channel, status = (Channel(socket.socket(fileno=descriptor)) for descriptor in (talk, tell))
        try:
            pid = os.fork()
        except OSError as error:
            with contextlib.suppress(OSError):
                status.send(Refused(reason=f"a process of its own could not be made: {error.strerror}"))
            pid = -1
        if pid == 0:
            status.close()
            self._become(channel, out, err)
        channel.close()
        os.close(out)
        os.close(err)
        if pid < 0:
            status.close()
            return
        self._children[pid] = _Child(pid=pid, status=status)
        with contextlib.suppress(OSError):
            status.send(Forked(pid=pid))

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
            if self._problem is not None:
                os.write(2, "".join(traceback.format_exception(self._problem)).encode(errors="backslashreplace"))
                kind, text = type(self._problem).__name__, str(self._problem)
                channel.send(Refused(reason=f"Django could not be set up in a process of its own: {kind}: {text}"))
            else:
                from django_runbook.executors import child

                child.run(channel)
                exit_code = 0
        except BaseException:  # noqa: BLE001 - this process ends here, whatever it is
            # The last word for the run, where all other ways to it may be closed.
            exit_code = 1 if channel.is_ours else CHANNEL_CLOSED
            os.write(2, traceback.format_exc().encode(errors="backslashreplace"))
        finally:
            os._exit(exit_code)

    def _look_after(self, child: _Child) -> None:
        if not _has_ended(child):
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
        if others or child.wait_status is None:
            _signal_group(child.pid, signal.SIGKILL)
        status = child.wait_status
        if status is None:
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
            if child.wait_status is None:
                os.waitpid(child.pid, 0)


def _has_ended(child: _Child) -> bool:
    """Whether a child has ended; it is not waited for yet where the system can tell without."""
    if child.wait_status is not None:
        return True
    if hasattr(os, "waitid"):
        return os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None
    # macOS before Python 3.13. The number of a group stays taken as long as one of its processes lives, and no longer.
    pid, status = os.waitpid(child.pid, os.WNOHANG)
    child.wait_status = status if pid else None
    return pid != 0


def _signal_group(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _members(group: int) -> Iterator[tuple[int, str]]:
    """The processes of a group that live, without the first: each with its name."""
    for pid, process_group, state, name in _processes():
        if process_group == group and pid != group and state[0] not in "ZX":
            yield pid, name


def _processes() -> Iterator[tuple[int, int, str, str]]:
    """All processes of the machine: number, group, state and name."""
    if not _PROC.is_dir():
        yield from _processes_by_ps()
        return
    for folder in _PROC.glob("[0-9]*"):
        try:
            text = (folder / "stat").read_text(errors="replace")
        except OSError:
            continue
        name, _, rest = text.partition("(")[2].rpartition(")")
        state, _, process_group, *_ = rest.split()
        yield int(folder.name), int(process_group), state, name


def _processes_by_ps() -> Iterator[tuple[int, int, str, str]]:
    # macOS has no /proc.
    listing = subprocess.run(
        ["ps", "-A", "-o", "pid=,pgid=,state=,comm="], stdout=subprocess.PIPE, text=True, errors="replace", check=False
    )
    for line in listing.stdout.splitlines():
        pid, process_group, state, name = line.split(None, 3)
        yield int(pid), int(process_group), state, name.rpartition("/")[2]


def preparation(commands: tuple[str, ...]) -> bytes:
    """What the server reads first: where its modules are, what its command line was, and what to import."""
    path = [entry or str(Path.cwd()) for entry in sys.path]
    data = json.dumps([path, sys.argv, commands]).encode()
    return len(data).to_bytes(8) + data


# It reads what is prepared for it from the socket: a command line has its limits, and everybody sees it.
_BEGIN: Final = """
import json, socket, sys
end = socket.socket(fileno={descriptor})
path, argv, commands = json.loads(end.recv(int.from_bytes(end.recv(8, socket.MSG_WAITALL)), socket.MSG_WAITALL))
sys.path[:], sys.argv[:] = path, argv
from django_runbook.executors.server import main
main(end, tuple(commands))
"""


def command_line(descriptor: int) -> list[str]:
    """What starts this process: the same interpreter with the same options."""
    # As multiprocessing does it.
    options: list[str] = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]  # no public name
    return [sys.executable, *options, "-c", _BEGIN.format(descriptor=descriptor)]
