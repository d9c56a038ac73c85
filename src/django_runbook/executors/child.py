"""Runs in the process of a step: calls its command as `manage.py` would, and sends the result over the channel."""

from __future__ import annotations

import atexit
import contextlib
import getpass
import io
import logging
import math
import os
import signal
import sys
import threading
from typing import Final

from django.db import connections

from django_runbook.binding import catalog
from django_runbook.executors import messages
from django_runbook.executors.atomic import atomically, refuse_other_database
from django_runbook.executors.calling import Callbacks, PassedChecks, call, leave_copy, with_problems
from django_runbook.executors.channel import Channel
from django_runbook.executors.messages import CallRequest, Commit, RollBack
from django_runbook.process import masking, python_internals, unpatched
from django_runbook.process.connections import KnownConnections
from django_runbook.process.snapshot import Snapshot
from django_runbook.process.stopping import Stop
from django_runbook.process.streams import input_stream, read_password, refuse_password
from django_runbook.results import AttemptResult
from django_runbook.row_counting.counting import RowCounter
from django_runbook.structs import replace

_ERRORS: Final = "backslashreplace"


def run(channel: Channel) -> None:
    """Receive one request over the channel, and run its command."""
    request: CallRequest = channel.receive()
    for alias, name in request.database_names.items():
        # A database that the run has added is unknown here.
        if alias in connections.settings:
            connections[alias].settings_dict["NAME"] = name
    os.environ.update(request.environ)
    sys.argv[1:] = [request.command, *request.tokens]
    _replace_streams(has_input=request.has_input)
    # The run enforces the stop timeout.
    stop = Stop(timeout_seconds=math.inf)
    listener = _RunListener(channel, stop)
    with KnownConnections() as known, stop:
        stop.cancel = known.cancel_statements
        stop.on_stop = listener.report_signal
        channel.send(messages.Started(is_listening=_is_listening(request.command)))
        unpatched.start_thread(listener.listen, name="runbook-listen")
        _Step(request, channel, stop=stop, listener=listener).run(known)


class _RunListener:
    """Receives messages of the run while the command runs."""

    def __init__(self, channel: Channel, stop: Stop) -> None:
        self._channel = channel
        self._stop = stop
        self._pid = os.getpid()
        self._is_stop_requested = False
        self._has_answer = threading.Event()
        self._answer: Commit | RollBack = RollBack()

    def listen(self) -> None:
        try:
            while True:
                match self._channel.receive():
                    case messages.StopRequest(number=number):
                        self._is_stop_requested = True
                        self._stop.pass_on(number)
                    case messages.EndRequest(number=number, is_forced=is_forced):
                        self._is_stop_requested = True
                        # SIGTERM follows, and is enough for a command that handles it.
                        if is_forced or not self._stop.has_handler_of_command(signal.SIGTERM):
                            self._stop.end(number)
                    case Commit() | RollBack() as answer:
                        self._answer = answer
                        self._has_answer.set()
        except (EOFError, OSError):
            # The run has ended, or the command has closed our end of the channel.
            if self._channel.is_ours:
                os.killpg(0, signal.SIGKILL)

    def report_signal(self, name: str, is_immediate: bool) -> None:  # noqa: FBT001 - as Stop calls it
        """Report a signal from outside the run."""
        if not self._is_stop_requested and not is_immediate and os.getpid() == self._pid:
            with contextlib.suppress(OSError):
                self._channel.send(messages.Signaled(number=signal.Signals[name].value))

    def ask_to_commit(self) -> Commit | RollBack:
        self._channel.send(messages.Finished())
        self._has_answer.wait()
        return self._answer


class _Step:
    def __init__(self, request: CallRequest, channel: Channel, *, stop: Stop, listener: _RunListener) -> None:
        self._request = request
        self._channel = channel
        self._stop = stop
        self._listener = listener
        self._checks = PassedChecks(set(request.checks_passed))
        self._pid = os.getpid()

    def run(self, known: KnownConnections) -> None:
        result = self._result(known)
        _finish()
        self._channel.send(messages.Result(attempt=result, checks_passed=tuple(self._checks.keys)))

    def _result(self, known: KnownConnections) -> AttemptResult:
        alias = self._request.atomic_alias
        before = Snapshot.capture(known)
        if alias is None:
            return self._call(before)
        if self._request.atomic_address:
            refused = refuse_other_database(alias, self._request.atomic_address)
            if refused is not None:
                return refused

        def on_finished(result: AttemptResult) -> Commit | RollBack:
            _flush()
            return self._listener.ask_to_commit()

        return atomically(lambda: self._call(before.in_transaction()), on_finished=on_finished, using=alias)

    def _call(self, before: Snapshot) -> AttemptResult:
        request = self._request
        callbacks = Callbacks(
            halt=self._stop,
            report_progress=self._report_progress,
            call_key=request.call_key,
            mask=masking.masker(request.secrets),
            # The threads of this process are those of the command.
            rows=RowCounter(is_dry_run=request.is_dry_run, is_every_thread=True),
            has_input=request.has_input,
        )
        result = call(
            request.command,
            request.tokens,
            callbacks=callbacks,
            checks=self._checks,
            stop=self._stop,
        )
        if os.getpid() != self._pid:
            _flush()
            leave_copy(result)
        problems = [*before.restore_connections(), *before.users.restore()]
        result = replace(result, warnings=(*result.warnings, *before.take_warnings()))
        return with_problems(result, problems)

    def _report_progress(self, done_count: int, total_count: int | None, failed_count: int, /) -> None:
        # A process that the command forked shares the channel, and its messages would interleave with ours.
        if os.getpid() != self._pid:
            return
        # Plain integers: the run may not be able to import a subclass.
        total = None if total_count is None else int(total_count)
        with self._stop.shielded():
            self._channel.send(
                messages.ProgressReport(done_count=int(done_count), total_count=total, failed_count=int(failed_count))
            )


def drop_exit_callbacks() -> None:
    """Drop the exit callbacks of the parent, such as the removal of its temporary folders."""
    python_internals.clear_exit_callbacks()
    # These belong to the process itself.
    atexit.register(logging.shutdown)
    if (function := python_internals.multiprocessing_exit_function()) is not None:
        atexit.register(function)


def _replace_streams(*, has_input: bool) -> None:
    """Replace the standard streams with streams over the descriptors: those of the output are pipes to the run."""
    _flush()
    for name, number in (("stdout", 1), ("stderr", 2)):
        raw = os.fdopen(number, "wb", closefd=False)
        stream = io.TextIOWrapper(raw, encoding="utf-8", errors=_ERRORS, line_buffering=True)
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    stdin = input_stream()
    setattr(sys, "__stdin__", stdin)  # noqa: B010 - for mypy the name is final
    sys.stdin, getpass.getpass = stdin, read_password if has_input else refuse_password


def _is_listening(command: str) -> bool:
    try:
        return "stopping" in catalog.load(command).stealth_options
    except Exception:  # noqa: BLE001 - the call itself reports it
        return False


def _finish() -> None:
    """Finish as Python does at exit: wait for threads, and run the exit callbacks."""
    python_internals.join_threads()
    with contextlib.suppress(Exception):
        connections.close_all()
    python_internals.run_exit_callbacks()
    _flush()


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
