"""Runs each call in a subprocess, whose process group is ended as a whole."""

from __future__ import annotations

import contextlib
import os
from _socket import socket
from collections.abc import Sequence
from typing import Final, Self

from django.db import connections

from django_runbook.cleaning import Mask
from django_runbook.executors import oom
from django_runbook.executors.atomic import address_of
from django_runbook.executors.base import ExecutorCall
from django_runbook.executors.calling import PassedChecks
from django_runbook.executors.channel import Channel, socket_pair
from django_runbook.executors.escalation import Bounds, Escalation
from django_runbook.executors.messages import CallRequest
from django_runbook.executors.pipes import PipeReader
from django_runbook.executors.spawner import Spawner
from django_runbook.executors.watcher import WatchedProcess, failed
from django_runbook.process import input_files
from django_runbook.process.django_internals import is_django_test_run
from django_runbook.process.stopping import Stop
from django_runbook.process.streams import clean_text
from django_runbook.results import AttemptResult
from django_runbook.structs import MutableStruct, field, replace

# A server that was just killed may still accept a request.
_MAX_STARTS: Final = 3


class ProcessExecutor(MutableStruct):
    """Calls commands in processes from a `Spawner`; as a context manager, ends all of them.

    ``commands`` are imported beforehand; ``mask`` hides ``secrets``.
    """

    stop: Stop
    mask: Mask
    spawner: Spawner
    secrets: Sequence[str] = ()
    commands: Sequence[str] = ()
    grace_seconds: float
    checks: PassedChecks = field(default_factory=PassedChecks)

    def __enter__(self) -> Self:
        self.spawner.prepare(self.commands)
        return self

    def __exit__(self, *error: object) -> None:
        self.spawner.close()

    def __call__(self, call: ExecutorCall) -> AttemptResult:
        """Run the command of a call, and end it when a bound is reached."""
        kill_counts = oom.kill_counts()
        for _ in range(_MAX_STARTS):
            try:
                process = self._start(call)
            except OSError as error:
                return failed(f"the subprocess could not be started: {error.strerror or error}", exit_code=1)
            with process:
                process.watch()
            if not process.is_lost_before_its_call:
                break
        # The checks of another environment say nothing about this one.
        if process.result_of_call is not None and not call.process.env:
            self.checks.keys.update(process.result_of_call.checks_passed)
        result = process.result(is_memory_short=oom.kill_counts() != kill_counts)
        if result.failure is None:
            return result
        # Messages of the process are already masked; other messages may contain settings.
        return replace(result, failure=replace(result.failure, message=clean_text(result.failure.message, self.mask)))

    def _start(self, call: ExecutorCall) -> WatchedProcess:
        with contextlib.ExitStack() as ours, contextlib.ExitStack() as theirs:
            channel, status = (_pair(ours, theirs) for _ in range(2))
            out, err = (_pipe(ours, theirs) for _ in range(2))
            stdin = _open_input(call.process.stdin)
            theirs.callback(os.close, stdin)
            given = [channel[1].fileno(), status[1].fileno(), stdin, out[1], err[1], *call.descriptors]
            with call.limit.clock.paused():
                if call.process.env:
                    self.spawner.start_script(given, (call.command, *call.tokens), call.process.env)
                else:
                    self.spawner.spawn(given, halt=call.halt)
            talk = Channel(channel[0])
            process = WatchedProcess(
                request=self._request(call),
                channel=talk,
                status=Channel(status[0]),
                readers=[
                    PipeReader(
                        end,
                        name,
                        write_line=call.write_line,
                        mask=self.mask,
                        is_kept=call.keeps_stdout and name == "stdout",
                    )
                    for name, (end, _) in (("stdout", out), ("stderr", err))
                ],
                escalation=Escalation(talk, self._bounds(call)),
                stop=self.stop,
                report_progress=call.report_progress,
                accepts_output=call.accepts_output,
                on_finished=call.on_finished,
            )
            ours.pop_all()
            return process

    def _request(self, call: ExecutorCall) -> CallRequest:
        return CallRequest(
            command=call.command,
            tokens=call.tokens,
            call_key=call.call_key,
            has_input=call.process.stdin is not None,
            secrets=tuple(self.secrets),
            database_names=_database_names() if not call.process.env or is_django_test_run() else {},
            atomic_alias=call.atomic_alias if call.on_finished is not None else None,
            atomic_address=address_of(call.atomic_alias) if call.atomic_alias and call.process.env else (),
            is_dry_run=call.is_dry_run,
            checks_passed=() if call.process.env else tuple(self.checks.keys),
            environ=dict(call.environ),
        )

    def _bounds(self, call: ExecutorCall) -> Bounds:
        return Bounds(
            stop=self.stop,
            halt=call.halt,
            limit=call.limit,
            timeout_seconds=call.timeout_seconds,
            owner=call.owner,
            grace_seconds=self.grace_seconds,
        )


def _database_names() -> dict[str, object]:
    return {alias: connections[alias].settings_dict["NAME"] for alias in connections}


def _open_input(text: str | None) -> int:
    # The command may read it, or not: a pipe would have to be written while it runs.
    return os.open(os.devnull, os.O_RDWR) if text is None else input_files.open_text(text)


def _pair(ours: contextlib.ExitStack, theirs: contextlib.ExitStack) -> tuple[socket, socket]:
    one, other = socket_pair()
    ours.callback(one.close)
    theirs.callback(other.close)
    return one, other


def _pipe(ours: contextlib.ExitStack, theirs: contextlib.ExitStack) -> tuple[int, int]:
    read, write = os.pipe()
    ours.callback(os.close, read)
    theirs.callback(os.close, write)
    return read, write
