"""Is a small process that has set Django up once, and forks a keeper for each step.

It is forked from the process of a run, or is a fresh interpreter where that one has threads or belongs to a host. It
has no connections and no threads, so that a fork is safe and takes milliseconds. multiprocessing's fork server does
less (a killed run leaves its children alive), stays until its process ends, and runs the project's manage.py again in
each child.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import signal
import subprocess
import sys
import traceback
from _socket import MSG_WAITALL, socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NoReturn

from django_runbook.exceptions import in_words
from django_runbook.executors import descriptors, keeper
from django_runbook.executors.channel import Channel
from django_runbook.executors.messages import CHANNEL_CLOSED, Ready, StartFailed
from django_runbook.process import threads, unpatched
from django_runbook.process.failures import traceback_of

# The first byte of what the run asks for.
FORK: Final = b"f"
PREPARE: Final = b"p"
_LENGTH_BYTES: Final = 8
_PARENT_SECONDS: Final = 0.5
_READABLE: Final = 1  # POLLIN
# The two channels and the two pipes of a process come first; what it keeps open follows.
GIVEN_COUNT: Final = 4
MAX_GIVEN_COUNT: Final = 64


def main(end: socket, *, set_up: Callable[[], None] = lambda: None) -> NoReturn:
    """Serve the run at the other end of this socket until it is gone."""
    # Whoever started the run may have blocked what this process lives by. Signals to the whole group, or Ctrl-C of the
    # terminal, are for the run, which tells its steps in its own way.
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    problem: BaseException | None = None
    try:
        set_up()
    except BaseException as error:  # noqa: BLE001 - each step that needs this process reports it
        problem = error
    try:
        _ForkServer(end, problem=problem).serve()
    finally:
        # There is nothing that an end of Python's own would have to finish.
        os._exit(0)


class _ForkServer:
    def __init__(self, end: socket, *, problem: BaseException | None) -> None:
        self._end = end
        self._answers = Channel(end)
        self._problem = problem
        self._parent = os.getppid()
        self._alive_read, self._alive_write = os.pipe()
        self._wakeup_read, self._wakeup_write = os.pipe()
        for one in (self._wakeup_read, self._wakeup_write):
            os.set_blocking(one, False)

    def serve(self) -> None:
        """Fork when asked to."""
        unpatched.original("signal", "signal")(signal.SIGCHLD, lambda number, frame: None)
        signal.set_wakeup_fd(self._wakeup_write, warn_on_full_buffer=False)
        poll: Any = unpatched.original("select", "poll")()
        for source in (self._end.fileno(), self._wakeup_read):
            poll.register(source, _READABLE)
        while True:
            ready = {source for source, _ in poll.poll(1000 * _PARENT_SECONDS)}
            if self._wakeup_read in ready:
                with contextlib.suppress(BlockingIOError):
                    os.read(self._wakeup_read, 4096)
                _reap()
            # A process that a command of the run has forked may hold the other end of the socket.
            is_alone = os.getppid() != self._parent
            if is_alone or (self._end.fileno() in ready and not self._accept()):
                # The keepers notice it, and end their steps.
                return

    def _accept(self) -> bool:
        """Do what the run asks for; return False if it is gone."""
        try:
            kind, given = descriptors.receive(self._end, MAX_GIVEN_COUNT)
            if kind == PREPARE:
                length = int.from_bytes(self._end.recv(_LENGTH_BYTES, MSG_WAITALL))
                self._prepare(json.loads(self._end.recv(length, MSG_WAITALL)))
        except (ConnectionError, ValueError):
            return False
        if kind == FORK and len(given) >= GIVEN_COUNT:
            self._fork(given)
        else:
            # There may be too many open files here: the system has closed those that it could not pass on.
            for descriptor in given:
                os.close(descriptor)
        return bool(kind)

    def _prepare(self, commands: list[str]) -> None:
        """Import what every step needs, and these commands, and report whether this process can fork."""
        if self._problem is None:
            try:
                _import(commands)
            except BaseException as error:  # noqa: BLE001 - each step that needs this process reports it
                self._problem = error
        # What is here now is shared with all forked processes, as long as no collection writes to it.
        gc.freeze()
        text = "" if self._problem is None else in_words(self._problem)
        with contextlib.suppress(OSError):
            self._answers.send(Ready(problem=text, thread_count=threads.count()))

    def _fork(self, given: list[int]) -> None:
        talk, tell, *_ = given
        status = Channel(socket(fileno=tell))
        try:
            pid = unpatched.fork()
        except OSError as error:
            with contextlib.suppress(OSError):
                status.send(StartFailed(reason=f"a process of its own could not be made: {error.strerror}"))
            pid = -1
        if pid == 0:
            self._become_keeper(given, status)
        status.close()
        for descriptor in (talk, *given[2:]):
            os.close(descriptor)

    def _become_keeper(self, given: list[int], status: Channel) -> NoReturn:
        try:
            signal.set_wakeup_fd(-1)
            talk, _, out, err, *marks = given
            self._end.close()
            for one in (self._alive_write, self._wakeup_read, self._wakeup_write):
                os.close(one)
            problem = self._problem

            def step() -> None:
                from django_runbook.executors import child

                child.drop_exit_callbacks()
                become_step(talk, out, err, problem=problem)

            keeper.keep(step, status=status, parent_end=self._alive_read, of_step=(talk, out, err), marks=marks)
        finally:
            os._exit(1)


def become_step(talk: int, out: int, err: int, *, problem: BaseException | None = None) -> None:
    """Be the process of a step, with the run at the other end of these descriptors."""
    channel = Channel(socket(fileno=talk))
    os.dup2(out, 1)
    os.dup2(err, 2)
    descriptors.empty(0)
    for one in (out, err):
        os.close(one)
    try:
        if problem is not None:
            os.write(2, traceback_of(problem).encode(errors="backslashreplace"))
            reason = f"Django could not be set up in a process of its own: {in_words(problem)}"
            channel.send(StartFailed(reason=reason))
            return
        from django_runbook.executors import child

        child.run(channel)
    except BaseException:  # noqa: BLE001 - this process ends here
        # The last word for the run, where all other ways to it may be closed.
        with contextlib.suppress(OSError):
            os.write(2, traceback.format_exc().encode(errors="backslashreplace"))
        raise SystemExit(1 if channel.is_ours else CHANNEL_CLOSED) from None


def _import(commands: list[str]) -> None:
    from django.db import connections

    from django_runbook.binding import catalog
    from django_runbook.executors import child  # noqa: F401 - imported once, for all forked processes

    for command in commands:
        # What cannot be loaded fails again, and is reported, where it is called.
        with contextlib.suppress(Exception):
            catalog.load(command)
    # An app may have asked the database when it became ready.
    connections.close_all()
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()


def _reap() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def set_up_django() -> None:
    """Set Django up as the process of the run was, from the environment."""
    if os.environ.get("DJANGO_CONFIGURATION"):
        import configurations

        configurations.setup()
    else:
        import django

        django.setup()


def preparation(commands: tuple[str, ...]) -> bytes:
    """Return the request to import these commands, and to say whether steps can be forked."""
    data = json.dumps(commands).encode()
    return PREPARE + len(data).to_bytes(_LENGTH_BYTES) + data


def greeting() -> bytes:
    """Return what a fresh interpreter reads first: where its modules are, and what its command line was."""
    path = [entry or str(Path.cwd()) for entry in sys.path]
    data = json.dumps([path, sys.argv]).encode()
    return len(data).to_bytes(_LENGTH_BYTES) + data


# It reads its preparation from the socket: a command line has its limits, and everybody sees it.
_BEGIN: Final = """
import json, sys
from _socket import MSG_WAITALL, socket
end = socket(fileno={descriptor})
end.settimeout(None)
path, argv = json.loads(end.recv(int.from_bytes(end.recv(8, MSG_WAITALL), "big"), MSG_WAITALL))
sys.path[:], sys.argv[:] = path, argv
from django_runbook.executors import {module}
{module}.{function}
"""


def command_line(descriptor: int) -> list[str]:
    """Return the command line of a server in a fresh interpreter, with the same options."""
    return _command_line(descriptor, module="server", function="main(end, set_up=server.set_up_django)")


def step_command_line(descriptor: int) -> list[str]:
    """Return the command line of a fresh interpreter for one step."""
    return _command_line(descriptor, module="interpreter", function="main(end)")


def _command_line(descriptor: int, **parts: str) -> list[str]:
    # As multiprocessing does it.
    options: list[str] = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]  # no public name
    return [sys.executable, *options, "-c", _BEGIN.format(descriptor=descriptor, **parts)]
