"""Signals, a runner and the command itself: what makes a command stop, and what is left when it has."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from django_runbook.batch.parts.graceful_command import SIGNALS, GracefulCommand
from django_runbook.exceptions import Stopped
from django_runbook.process import signal_handlers
from tests.batch.support import read_line, started

NAMES = {number: number.name for number in SIGNALS}


class Command(GracefulCommand):
    """Does what a test hands it, and keeps what it saw."""

    def __init__(self, work: Callable[[Command], object]) -> None:
        super().__init__(stderr=io.StringIO())
        self.work = work
        self.seen: list[object] = []

    def handle(self, *args: Any, **options: Any) -> None:
        self.seen.append(self.work(self))


def raise_signal(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)


@pytest.fixture(autouse=True)
def handlers_are_left_as_they_were() -> Any:
    # The process that runs the tests may ignore some, as nohup does.
    before = {number: signal.signal(number, signal.SIG_DFL) for number in SIGNALS}
    yield
    after = {number: signal.signal(number, before[number]) for number in SIGNALS}
    assert after == dict.fromkeys(SIGNALS, signal.SIG_DFL)


def exit_code_of(command: GracefulCommand, **options: Any) -> Any:
    """Call a command as `manage.py` does, where a stop ends the process."""
    command._called_from_command_line = True  # type: ignore[attr-defined]  # run_from_argv sets it
    before: dict[int, Any] = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        call_command(command, **options)
    except (SystemExit, CommandError) as error:
        # Further signals do not change how the process ends.
        for number in SIGNALS:
            assert callable(signal.getsignal(number))
            raise_signal(number)
        signal_handlers.restore(before)
        return error.code if isinstance(error, SystemExit) else error.returncode
    return 0


@pytest.mark.parametrize("number", SIGNALS, ids=NAMES.get)
def test_a_signal_becomes_the_flag_and_then_the_exit_code(number: signal.Signals) -> None:
    def work(command: Command) -> tuple[bool, bool, str]:
        before = command.stopping
        raise_signal(number)
        return before, command.stopping, command.stop_reason

    command = Command(work)
    assert exit_code_of(command) == 128 + number
    assert command.seen == [(False, True, number.name)]


@pytest.mark.parametrize("number", SIGNALS, ids=NAMES.get)
def test_a_caller_gets_an_exception_and_the_signal(number: signal.Signals) -> None:
    heard: list[int] = []
    signal.signal(number, lambda number, frame: heard.append(number))
    command = Command(lambda command: raise_signal(number))
    with pytest.raises(CommandError, match=f"stopped by {number.name}") as caught:
        call_command(command)
    assert (caught.value.returncode, heard) == (128 + number, [number])
    signal.signal(number, signal.SIG_DFL)


@pytest.mark.slow
def test_a_forked_process_has_no_handler_of_ours() -> None:
    def work(command: Command) -> int:
        pid = os.fork()
        if pid == 0:
            os.kill(os.getpid(), signal.SIGTERM)
            os._exit(0)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    command = Command(work)
    call_command(command)
    assert command.seen == [-signal.SIGTERM]


def test_without_a_signal_nothing_happens() -> None:
    command = Command(lambda command: (command.stopping, command.stop_reason))
    assert exit_code_of(command) == 0
    assert command.seen == [(False, "")]


def test_an_ignored_signal_stays_ignored() -> None:
    def work(command: Command) -> bool:
        raise_signal(signal.SIGHUP)
        return command.stopping

    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    command = Command(work)
    assert exit_code_of(command) == 0
    assert command.seen == [False]
    assert signal.signal(signal.SIGHUP, signal.SIG_DFL) == signal.SIG_IGN


def test_a_second_signal_ends_the_command_although_it_catches_exceptions() -> None:
    def work(command: Command) -> None:
        raise_signal(signal.SIGTERM)
        with suppress(Exception):
            raise_signal(signal.SIGINT)
        command.seen.append("went on")

    command = Command(work)
    assert exit_code_of(command) == 143
    assert command.seen == []
    assert "ended immediately by a second signal, SIGINT" in command.stderr.getvalue()


def test_an_end_without_a_signal_is_not_a_success() -> None:
    def work(command: Command) -> None:
        raise Stopped("stopped while waiting for the lock")

    with pytest.raises(Stopped, match="while waiting"):
        call_command(Command(work))


def test_a_failure_after_a_signal_stays_a_failure() -> None:
    def work(command: Command) -> None:
        raise_signal(signal.SIGTERM)
        raise CommandError("half of it is missing")

    with pytest.raises(CommandError, match="half of it is missing"):
        call_command(Command(work))


def test_a_signal_handler_of_the_command_is_removed() -> None:
    def work(command: Command) -> None:
        signal.signal(signal.SIGTERM, lambda number, frame: None)

    assert exit_code_of(Command(work)) == 0  # and the fixture looks at the handlers


def test_a_runner_decides_alone() -> None:
    def work(command: Command) -> tuple[bool, Any, bool, str]:
        before, handler = command.stopping, signal.getsignal(signal.SIGTERM)
        asked.append(True)
        return before, handler, command.stopping, command.stop_reason

    asked: list[bool] = []
    command = Command(work)
    assert exit_code_of(command, stopping=lambda: bool(asked)) == 0
    assert command.seen == [(False, signal.SIG_DFL, True, "requested by the runner")]


def test_a_stop_can_be_requested_from_another_thread() -> None:
    def work(command: Command) -> tuple[bool, str]:
        for reason in ("the lock was lost", "a later reason"):
            thread = threading.Thread(target=command.request_stop, args=(reason,))
            thread.start()
            thread.join()
        return command.stopping, command.stop_reason

    command = Command(work)
    assert exit_code_of(command) == 0
    assert command.seen == [(True, "the lock was lost")]


def test_a_request_counts_for_one_call_only() -> None:
    def work(command: Command) -> bool:
        before = command.stopping
        command.request_stop("enough")
        return before

    command = Command(work)
    assert [exit_code_of(command), exit_code_of(command)] == [0, 0]
    assert command.seen == [False, False]


def test_a_stop_request_ends_the_wait() -> None:
    def work(command: Command) -> tuple[bool, bool]:
        waited = command.wait(0.001)
        threading.Timer(0.05, raise_signal, [signal.SIGTERM]).start()
        return waited, command.wait(3600)

    command = Command(work)
    assert exit_code_of(command) == 143
    assert command.seen == [(False, True)]


def test_in_another_thread_no_handlers_are_installed() -> None:
    def work(command: Command) -> tuple[Any, bool]:
        return signal.getsignal(signal.SIGTERM), command.stopping

    command = Command(work)
    thread = threading.Thread(target=call_command, args=[command])
    thread.start()
    thread.join()
    assert command.seen == [(signal.SIG_DFL, False)]


def test_a_nested_command_stops_together_with_the_outer_one() -> None:
    def inner_work(command: Command) -> bool:
        raise_signal(signal.SIGTERM)
        return command.stopping

    def outer_work(command: Command) -> None:
        try:
            call_command(inner)
        finally:
            command.seen.append(command.stopping)
        command.seen.append("took the inner one for finished")

    inner, outer = Command(inner_work), Command(outer_work)
    assert exit_code_of(outer) == 143
    assert inner.seen == [True]
    assert outer.seen == [True]


def test_a_command_that_starts_after_the_signal_stops_immediately() -> None:
    def outer_work(command: Command) -> None:
        raise_signal(signal.SIGTERM)
        call_command(inner)

    inner = Command(lambda command: command.stopping)
    assert exit_code_of(Command(outer_work)) == 143
    assert inner.seen == [True]


def test_the_handlers_of_the_outer_command_are_restored() -> None:
    def outer_work(command: Command) -> bool:
        call_command(Command(lambda command: None))
        raise_signal(signal.SIGTERM)
        return command.stopping

    outer = Command(outer_work)
    assert exit_code_of(outer) == 143
    assert outer.seen == [True]


ON_ITS_OWN = """
import sys, django
django.setup()
from django_runbook.batch.parts.graceful_command import GracefulCommand
class Command(GracefulCommand):
    def handle(self, *args, **options):
        print("working", flush=True)
        while not self.wait(0.5):
            pass
        print("tidied", flush=True)
        {after}
Command().run_from_argv(["manage.py", "name"])
"""


def ended(process: subprocess.Popen[str]) -> tuple[str, str, int]:
    out, errors = process.communicate()
    return out, errors, process.returncode


@pytest.mark.slow
def test_a_process_shuts_down_gracefully() -> None:
    with started(ON_ITS_OWN.format(after="")) as process:
        assert read_line(process) == "working"
        process.terminate()
        assert ended(process) == ("tidied\n", "", 143)


@pytest.mark.slow
def test_a_process_that_hangs_ends_at_the_second_signal_without_a_traceback() -> None:
    with started(ON_ITS_OWN.format(after="import time; time.sleep(3600)")) as process:
        assert read_line(process) == "working"
        process.send_signal(signal.SIGINT)
        assert read_line(process) == "tidied"
        process.send_signal(signal.SIGINT)
        assert ended(process) == ("", "ended immediately by a second signal, SIGINT\n", 130)
