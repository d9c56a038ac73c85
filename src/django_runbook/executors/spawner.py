"""Starts the processes of steps: forked from a server if that is safe, otherwise as fresh interpreters."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import threading
import time
from _socket import socket
from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from django_runbook.executors import descriptors, server
from django_runbook.executors.channel import Channel, socket_pair
from django_runbook.executors.messages import Ready
from django_runbook.process import manage_script, unpatched
from django_runbook.process.deadlines import Halt
from django_runbook.process.manage_script import ManageScript

_END_SECONDS: Final = 5.0
_POLL_SECONDS: Final = 0.01
_SLICE_SECONDS: Final = 0.1


class SpawnError(OSError):
    """Reports that no process can be started for a step."""


class _Child(Protocol):
    """Represents a child of this process."""

    def is_alive(self) -> bool: ...

    def kill(self) -> None: ...


class _ForkedChild:
    """Represents a forked child."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._is_alive = True

    def is_alive(self) -> bool:
        if self._is_alive:
            # A command that waits for all children may have reaped it.
            with contextlib.suppress(ChildProcessError):
                self._is_alive = os.waitpid(self.pid, os.WNOHANG)[0] == 0
                return self._is_alive
            self._is_alive = False
        return False

    def kill(self) -> None:
        if self.is_alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)


class _ProgramChild:
    """Starts a program as a child."""

    def __init__(self, command_line: list[str], descriptor: int, *, env: Mapping[str, str] | None = None) -> None:
        self._process = subprocess.Popen(
            command_line,
            env=env,
            pass_fds=[descriptor],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            process_group=0,
        )

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def kill(self) -> None:
        self._process.kill()


class _ServerConnection:
    """Connects to a server, and ends it on `close`."""

    def __init__(self, child: _Child, end: socket) -> None:
        self._child = child
        self._end = end
        self._answers = Channel(end)

    @classmethod
    def fork(cls) -> _ServerConnection:
        """Fork this process, which must have one thread and no open connection to a database."""
        mine, other = socket_pair()
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):
                stream.flush()
        pid = unpatched.fork()
        if pid == 0:
            try:
                mine.close()
                for descriptor in range(3):
                    descriptors.empty(descriptor)
                server.main(other)
            finally:
                os._exit(1)
        other.close()
        return cls(_ForkedChild(pid), mine)

    @classmethod
    def start(cls) -> _ServerConnection:
        """Start a fresh interpreter, which sets Django up again."""
        mine, other = socket_pair()
        with contextlib.closing(other):
            child = _ProgramChild(server.command_line(other.fileno()), other.fileno())
        # If the message cannot be read, the child has already ended.
        with contextlib.suppress(BrokenPipeError):
            mine.sendall(server.greeting())
        return cls(child, mine)

    def is_alive(self) -> bool:
        # A command in this process may have closed the connection.
        return self._answers.is_ours and self._child.is_alive()

    def prepare(self, commands: Sequence[str]) -> None:
        with contextlib.suppress(BrokenPipeError):
            self._end.sendall(server.preparation(tuple(commands)))

    def wait_until_ready(self, halt: Halt) -> Ready:
        """Wait for the answer to `prepare`; raise EOFError if the server has ended."""
        while True:
            for message in self._answers.receive_waiting():
                if isinstance(message, Ready):
                    return message
            if halt.is_immediate:
                raise SpawnError("the run was stopped while the process that forks them was starting")
            select.select([self._answers], [], [], _SLICE_SECONDS)

    def spawn(self, given: Sequence[int]) -> None:
        descriptors.send(self._end, server.FORK, given)

    def close(self) -> None:
        self._answers.close()
        _wait_for_end(self._child)


class Spawner:
    """Starts processes for steps, and remembers whether they can be forked.

    With ``can_be_set_up``, a fresh interpreter can set up Django as this process did.
    """

    def __init__(self, *, can_be_set_up: bool = True) -> None:
        self._can_be_set_up = can_be_set_up
        self._commands: Sequence[str] = ()
        self._server: _ServerConnection | None = None
        self._is_ready = False
        self._has_threads = False
        # Each holds the other end of a connection, which closes when this process ends.
        self._interpreters: list[tuple[_ProgramChild, socket]] = []
        # Branches start processes concurrently.
        self._guard = threading.Lock()

    def fork_server(self) -> None:
        """Fork a server from this process, which must have one thread and no open connection to a database."""
        self._server = _ServerConnection.fork()

    def start_server(self) -> None:
        """Start a server in a fresh interpreter, before it is needed."""
        self._server = _ServerConnection.start()

    def prepare(self, commands: Sequence[str]) -> None:
        """Have the server, or one that is started later, import these commands."""
        self._commands = tuple(commands)
        with self._guard:
            if self._server is not None:
                self._server.prepare(self._commands)

    def spawn(self, given: Sequence[int], *, halt: Halt) -> None:
        """Start a process, and pass it the descriptors of a step; raise OSError if that fails."""
        with self._guard:
            for _ in range(2):
                self._wait_until_ready(halt)
                if self._has_threads:
                    self._start_interpreter(given)
                    return
                assert self._server is not None
                try:
                    self._server.spawn(given)
                    return
                except (BrokenPipeError, ConnectionResetError):
                    # The server has just ended; a new one is started.
                    self._drop_server()
            raise SpawnError("the server that forks them was ended twice")

    def start_script(self, given: Sequence[int], argv: Sequence[str], env: Mapping[str, str | None]) -> None:
        """Start the project's ``manage.py`` with these variables, and pass it the descriptors of a step."""
        script = manage_script.find()
        if script is None:
            raise SpawnError("no manage.py was found, which a command with variables of its own needs")
        environ = {**os.environ, **{name: value for name, value in env.items() if value is not None}}
        for name in (name for name, value in env.items() if value is None):
            environ.pop(name, None)
        with self._guard:
            self._start_interpreter(
                given, greeting=server.greeting([script.path, *argv]), script=script, environ=environ
            )

    def close(self) -> None:
        """End the server and the interpreters, after all steps have ended."""
        self._drop_server()
        for program, end in self._interpreters:
            end.close()
            _wait_for_end(program)
        self._interpreters = []

    def _wait_until_ready(self, halt: Halt) -> None:
        """Wait for a server that can fork, and start another one if it has ended."""
        if self._server is not None and not self._server.is_alive():
            self._drop_server()
        for _ in range(2):
            if self._has_threads or (self._server is not None and self._is_ready):
                return
            if self._server is None:
                if not self._can_be_set_up:
                    raise SpawnError("the server that forks them was ended, and only this process has the settings")
                self._server = _ServerConnection.start()
                self._server.prepare(self._commands)
            try:
                answer = self._server.wait_until_ready(halt)
            except SpawnError:
                raise
            except (EOFError, OSError):
                self._drop_server()
                continue
            self._is_ready = True
            if answer.thread_count > 1 and not answer.problem:
                self._has_threads = True
                self._drop_server()
            return
        raise SpawnError("the server that forks them was ended twice")

    def _start_interpreter(
        self,
        given: Sequence[int],
        *,
        greeting: bytes | None = None,
        script: ManageScript | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self._drop_ended_interpreters()
        mine, other = socket_pair()
        with contextlib.closing(other):
            end = other.fileno()
            line = server.script_command_line(end, script) if script else server.step_command_line(end)
            program = _ProgramChild(line, end, env=environ)
        self._interpreters.append((program, mine))
        mine.sendall(greeting or server.greeting())
        descriptors.send(mine, server.FORK, given)

    def _drop_ended_interpreters(self) -> None:
        for program, end in tuple(self._interpreters):
            if not program.is_alive():
                end.close()
                self._interpreters.remove((program, end))

    def _drop_server(self) -> None:
        if self._server is not None:
            server_, self._server = self._server, None
            self._is_ready = False
            server_.close()


def _wait_for_end(child: _Child) -> None:
    deadline = time.monotonic() + _END_SECONDS
    while child.is_alive():
        if time.monotonic() >= deadline:
            child.kill()
        time.sleep(_POLL_SECONDS)
