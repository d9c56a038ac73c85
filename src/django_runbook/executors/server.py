"""Runs as a small process that has set up Django once, and forks a keeper for each step.

The server is forked from the process of a run, or is a fresh interpreter if that process has threads or belongs to a
host. It has no connections and no threads, so a fork is safe and takes milliseconds. The fork server of
multiprocessing leaves its children alive when a run is killed, ends only with its process, and runs the project's
manage.py again in each child.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import signal
import sys
import traceback
from _socket import MSG_WAITALL, socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NoReturn

from django_runbook.exceptions import in_words
from django_runbook.executors import descriptors, keeper
from django_runbook.executors.channel import Channel
from django_runbook.executors.messages import CHANNEL_CLOSED, Ready, StartFailed
from django_runbook.process import python_internals, threads, unpatched
from django_runbook.process.failures import traceback_of
from django_runbook.process.manage_script import ManageScript

# The first byte of a request.
FORK: Final = b"f"
PREPARE: Final = b"p"
_LENGTH_BYTES: Final = 8
_PARENT_SECONDS: Final = 0.5
_READABLE: Final = 1  # POLLIN
# The two channels, the standard input and the two pipes of a process come first; the marks that it keeps open follow.
GIVEN_COUNT: Final = 5
MAX_GIVEN_COUNT: Final = 64


def main(end: socket, *, set_up: Callable[[], None] = lambda: None) -> NoReturn:
    """Serve the run at the other end of this socket until the run ends."""
    # The parent of the run may have blocked signals that this process needs. Signals to the whole group, or Ctrl-C at
    # the terminal, are for the run, which stops its steps itself.
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
        # The exit callbacks of Python have nothing to finish here.
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
        """Handle requests until the run ends."""
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
            # A process that a command of the run has forked may hold the other end of the socket open.
            is_alone = os.getppid() != self._parent
            if is_alone or (self._end.fileno() in ready and not self._accept()):
                # The keepers notice the end of this process, and end their steps.
                return

    def _accept(self) -> bool:
        """Handle one request; return False if the run has ended."""
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
            # This process may have too many open files: the system has closed those that it could not pass.
            for descriptor in given:
                os.close(descriptor)
        return bool(kind)

    def _prepare(self, commands: list[str]) -> None:
        """Import these commands and the modules of every step, and report whether this process can fork."""
        if self._problem is None:
            try:
                _import(commands)
            except BaseException as error:  # noqa: BLE001 - each step that needs this process reports it
                self._problem = error
        # Frozen objects are shared with all forked processes, because no collection writes to them.
        gc.freeze()
        text = "" if self._problem is None else in_words(self._problem)
        with contextlib.suppress(OSError):
            self._answers.send(Ready(problem=text, thread_count=threads.count()))

    def _fork(self, given: list[int]) -> None:
        channel_end, status_end, *_ = given
        status = Channel(socket(fileno=status_end))
        try:
            pid = unpatched.fork()
        except OSError as error:
            with contextlib.suppress(OSError):
                status.send(StartFailed(reason=f"the subprocess could not be started: {error.strerror}"))
            pid = -1
        if pid == 0:
            self._become_keeper(given, status)
        status.close()
        for descriptor in (channel_end, *given[2:]):
            os.close(descriptor)

    def _become_keeper(self, given: list[int], status: Channel) -> NoReturn:
        try:
            signal.set_wakeup_fd(-1)
            channel_end, _, *standard = given[:GIVEN_COUNT]
            self._end.close()
            for one in (self._alive_write, self._wakeup_read, self._wakeup_write):
                os.close(one)
            problem = self._problem

            def step() -> None:
                from django_runbook.executors import child

                child.drop_exit_callbacks()
                take_streams(standard)
                serve_step(channel_end, problem=problem)

            of_step, marks = (channel_end, *standard), given[GIVEN_COUNT:]
            keeper.keep(step, status=status, parent_end=self._alive_read, of_step=of_step, marks=marks)
        finally:
            os._exit(1)


def take_streams(standard: Sequence[int]) -> None:
    """Replace the standard descriptors of this process."""
    for number, one in enumerate(standard):
        os.dup2(one, number)
        os.close(one)


def serve_step(channel_end: int, *, problem: BaseException | None = None) -> None:
    """Run one step in this process, with the run at the other end of this descriptor."""
    channel = Channel(socket(fileno=channel_end))
    try:
        if problem is not None:
            os.write(2, traceback_of(problem).encode(errors="backslashreplace"))
            reason = f"Django could not be set up in a subprocess: {in_words(problem)}"
            channel.send(StartFailed(reason=reason))
            return
        from django_runbook.executors import child

        child.run(channel)
    except BaseException:  # noqa: BLE001 - this process ends here
        # Standard error is the last way to the run, if the others are closed.
        with contextlib.suppress(OSError):
            os.write(2, traceback.format_exc().encode(errors="backslashreplace"))
        raise SystemExit(1 if channel.is_ours else CHANNEL_CLOSED) from None


def _import(commands: list[str]) -> None:
    from django.db import connections

    from django_runbook.binding import catalog
    from django_runbook.executors import child  # noqa: F401 - imported once, for all forked processes
    from django_runbook.row_counting import connection_counter  # noqa: F401 - likewise

    for command in commands:
        # A command that cannot be loaded fails again when it is called, and is reported then.
        with contextlib.suppress(Exception):
            catalog.load(command)
    # An app may have queried a database in ready().
    connections.close_all()
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()


def _reap() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def set_up_django() -> None:
    """Set up Django from the environment, as in the process of the run."""
    if os.environ.get("DJANGO_CONFIGURATION"):
        import configurations

        configurations.setup()
    else:
        import django

        django.setup()


def preparation(commands: tuple[str, ...]) -> bytes:
    """Return the request to import these commands, and to report whether steps can be forked."""
    data = json.dumps(commands).encode()
    return PREPARE + len(data).to_bytes(_LENGTH_BYTES) + data


def greeting(argv: Sequence[str] | None = None) -> bytes:
    """Return the first message to a fresh interpreter: the module path and the command line, by default of the run."""
    path = [entry or str(Path.cwd()) for entry in sys.path]
    data = json.dumps([path, sys.argv if argv is None else argv]).encode()
    return len(data).to_bytes(_LENGTH_BYTES) + data


# The interpreter reads the rest from the socket, because command lines are limited and visible to other users.
_BEGIN: Final = """
import json, sys
from _socket import MSG_WAITALL, socket
end = socket(fileno={descriptor})
end.settimeout(None)
path, argv = json.loads(end.recv(int.from_bytes(end.recv(8, MSG_WAITALL), "big"), MSG_WAITALL))
sys.path[:], sys.argv[:] = {path}, argv
from django_runbook.executors import {module}
{module}.{function}
"""


def command_line(descriptor: int) -> list[str]:
    """Return the command line of a server in a fresh interpreter, with the same options."""
    return _command_line(descriptor, module="server", function="main(end, set_up=server.set_up_django)")


def step_command_line(descriptor: int) -> list[str]:
    """Return the command line of a fresh interpreter for one step."""
    return _command_line(descriptor, module="interpreter", function="main(end)")


def script_command_line(descriptor: int, script: ManageScript) -> list[str]:
    """Return the command line of a fresh interpreter for one step that a script of the project starts."""
    # PYTHONPATH may differ from that of the run, whose path comes last.
    path = "[entry for entry in dict.fromkeys([*sys.path, *path]) if entry]"
    return _command_line(descriptor, module="interpreter", function=f"main(end, script={tuple(script)!r})", path=path)


def _command_line(descriptor: int, *, path: str = "path", **parts: str) -> list[str]:
    options = python_internals.interpreter_options()
    return [sys.executable, *options, "-c", _BEGIN.format(descriptor=descriptor, path=path, **parts)]
