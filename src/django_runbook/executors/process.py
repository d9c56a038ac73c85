"""One invocation to its result, in a process of its own: in a group that is ended as a whole when it has to be."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Self

from django.db import connections

from django_runbook.executors import memory, server
from django_runbook.executors.call import Call
from django_runbook.executors.channel import Channel
from django_runbook.executors.inline import ReportProgress
from django_runbook.executors.ladder import Bounds, Ladder
from django_runbook.executors.lines import LineReader
from django_runbook.executors.watching import WatchedProcess, failed
from django_runbook.process.deadlines import Halt
from django_runbook.process.masking import Mask
from django_runbook.process.stopping import Stop
from django_runbook.process.streams import WriteLine, tidy_text
from django_runbook.results import AttemptResult

_SERVER_SECONDS: Final = 5.0


@dataclass(slots=True, kw_only=True)
class ProcessExecutor:
    """Calls commands in processes that a `server` forks; as a context manager, all of them are gone when it ends.

    ``commands`` are those that the server imports beforehand, ``secrets`` what ``mask`` hides. The server is started
    with the first call.
    """

    stop: Stop
    mask: Mask
    secrets: Sequence[str] = ()
    commands: Sequence[str] = ()
    grace_seconds: float

    # Branches ask for processes at the same time.
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _server: tuple[subprocess.Popen[bytes], socket.socket] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._end_server()

    def __call__(  # noqa: PLR0913 - all that there is to a call
        self,
        *,
        command: str,
        tokens: tuple[str, ...],
        keeps_stdout: bool,
        write_line: WriteLine,
        report_progress: ReportProgress,
        halt: Halt,
        run_key: str = "",
        deadline_at: float | None,
    ) -> AttemptResult:
        """Call the command; it is ended at the deadline (monotonic clock) and when ``halt`` asks for it."""
        call = Call(
            command=command,
            tokens=tokens,
            keeps_stdout=keeps_stdout,
            run_key=run_key,
            secrets=tuple(self.secrets),
            stop_timeout_seconds=self.grace_seconds,
            database_names={alias: connections[alias].settings_dict["NAME"] for alias in connections},
        )
        bounds = Bounds(stop=self.stop, halt=halt, deadline_at=deadline_at, grace_seconds=self.grace_seconds)
        kill_counts = memory.kill_counts()
        try:
            process = self._fork(call, bounds=bounds, write_line=write_line)
        except OSError as error:
            return failed(f"a process of its own could not be made: {error.strerror or error}", exit_code=1)
        with process:
            process.watch(write_line=write_line, report_progress=report_progress)
        result = process.result(is_memory_short=memory.kill_counts() != kill_counts)
        if result.failure is None:
            return result
        # What the process itself told is masked already; what was told of it may come from the project's settings.
        return replace(result, failure=replace(result.failure, message=tidy_text(result.failure.message, self.mask)))

    def _fork(self, call: Call, *, bounds: Bounds, write_line: WriteLine) -> WatchedProcess:
        with contextlib.ExitStack() as ours, contextlib.ExitStack() as theirs:
            channel, status = (_pair(ours, theirs) for _ in range(2))
            out, err = (_pipe(ours, theirs) for _ in range(2))
            given = [channel[1].fileno(), status[1].fileno(), out[1], err[1]]
            with self._lock:
                try:
                    socket.send_fds(self._served(), [server.FORK], given)
                except BrokenPipeError:
                    # It was ended in this moment; a new one is not.
                    self._end_server()
                    socket.send_fds(self._served(), [server.FORK], given)
            talk = Channel(channel[0])
            process = WatchedProcess(
                call=call,
                channel=talk,
                status=Channel(status[0]),
                readers=tuple(
                    LineReader(end, name, write_line=write_line, mask=self.mask)
                    for name, (end, _) in (("stdout", out), ("stderr", err))
                ),
                ladder=Ladder(talk, bounds),
            )
            ours.pop_all()
            return process

    def _served(self) -> socket.socket:
        if self._server is not None and self._server[0].poll() is not None:
            self._end_server()
        if self._server is None:
            self._server = self._start()
        return self._server[1]

    def _start(self) -> tuple[subprocess.Popen[bytes], socket.socket]:
        with contextlib.ExitStack() as ours, contextlib.ExitStack() as theirs:
            mine, other = _pair(ours, theirs)
            process = subprocess.Popen(
                server.command_line(other.fileno()),
                pass_fds=[other.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                process_group=0,
            )
            ours.pop_all()
        # Where it cannot be read, nobody is there to fork either.
        with contextlib.suppress(BrokenPipeError):
            mine.sendall(server.preparation(tuple(self.commands)))
        return process, mine

    def _end_server(self) -> None:
        if self._server is None:
            return
        (process, end), self._server = self._server, None
        end.close()
        try:
            process.wait(_SERVER_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _pair(ours: contextlib.ExitStack, theirs: contextlib.ExitStack) -> tuple[socket.socket, socket.socket]:
    one, other = socket.socketpair()
    return ours.enter_context(one), theirs.enter_context(other)


def _pipe(ours: contextlib.ExitStack, theirs: contextlib.ExitStack) -> tuple[int, int]:
    read, write = os.pipe()
    ours.callback(os.close, read)
    theirs.callback(os.close, write)
    return read, write
