"""The process of one step: calls its command as the run itself would, and answers over the channel."""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import sys
import threading
from typing import Final

from django.db import connections

from django_runbook.binding import catalog
from django_runbook.executors import call as messages
from django_runbook.executors.call import Call
from django_runbook.executors.channel import Channel
from django_runbook.executors.inline import InlineExecutor
from django_runbook.process import masking, snapshot
from django_runbook.process.connections import KnownConnections
from django_runbook.process.stopping import Stop

_PART_OF_GRACE: Final = 0.75


def run(channel: Channel) -> None:
    """Do what is asked for over the channel, once."""
    call: Call = channel.receive()
    for alias, name in call.database_names.items():
        # What the process of the run has added to its databases is not known here.
        if alias in connections.settings:
            connections[alias].settings_dict["NAME"] = name
    is_listening = _is_listening(call.command)
    # A command that does not stop by itself is ended by an exception, before the run sends SIGKILL.
    grace_seconds = call.stop_timeout_seconds * (_PART_OF_GRACE if is_listening else 1)
    stop = Stop(timeout_seconds=grace_seconds)
    with KnownConnections() as known, stop:
        channel.send(messages.Started(is_listening=is_listening))
        threading.Thread(target=_obey, args=(channel, stop), name="runbook-obey", daemon=True).start()
        stop.cancel = known.cancel_statements
        execute = InlineExecutor(stop=stop, mask=masking.masker(call.secrets), before=snapshot.take(known))
        own_pid = os.getpid()

        def write_line(stream: str, line: str) -> None:
            if os.getpid() == own_pid:
                channel.send(messages.Line(stream=stream, text=line))
            else:
                # A process that the command forked has the channel too, and would tear our messages apart.
                os.write(1 if stream == "stdout" else 2, f"{line}\n".encode())

        def report_progress(done_count: int, total_count: int | None, failed_count: int) -> None:
            if os.getpid() == own_pid:
                # Plain numbers: a class that only the command knows could not be read at the other end.
                total = None if total_count is None else int(total_count)
                channel.send(
                    messages.Progress(done_count=int(done_count), total_count=total, failed_count=int(failed_count))
                )

        attempt = execute(
            command=call.command,
            tokens=call.tokens,
            keeps_stdout=call.keeps_stdout,
            write_line=write_line,
            report_progress=report_progress,
            halt=stop,
            run_key=call.run_key,
        )
        _finish()
        channel.send(messages.Result(attempt=attempt))


def _is_listening(command: str) -> bool:
    try:
        return "stopping" in catalog.load(command).stealth_options
    except Exception:  # noqa: BLE001 - the call itself tells of it
        return False


def _obey(channel: Channel, stop: Stop) -> None:
    try:
        while True:
            channel.receive()
            stop.signal(signal.SIGTERM)
    except EOFError:
        # The run is gone, in whatever way: nobody is left to answer to.
        os.killpg(0, signal.SIGKILL)


def _finish() -> None:
    """End as a process of Python does: threads come to their end, and what was registered for it runs."""
    # As multiprocessing does it; a pool's threads are told to end here, and would be waited for in vain without.
    threading._shutdown()  # type: ignore[attr-defined]  # it has no public name
    with contextlib.suppress(Exception):
        connections.close_all()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
