"""Runs one command at a time: alone, with the other parts, and after its lock was lost."""

from __future__ import annotations

import io
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from django_runbook import conf
from django_runbook.batch.parts.graceful_command import GracefulCommand
from django_runbook.batch.parts.locked_command import LockedCommand
from django_runbook.exceptions import LockHeld, LockLost, LockUnavailable, Stopped
from django_runbook.locks import waiting, watching
from django_runbook.locks.base import Lock
from django_runbook.locks.factory import new_factory
from django_runbook.locks.file import FileLock
from tests.batch.support import read_line, started
from tests.patience import PATIENCE_SECONDS, scaled, wait_until

NAME = "command test_locked_command"


class Command(LockedCommand):
    """Does what a test hands it, and keeps what it gave."""

    def __init__(self, work: Callable[[Any], object] = lambda command: None) -> None:
        super().__init__(stderr=io.StringIO())
        self.work = work
        self.seen: list[object] = []

    def handle(self, *args: Any, **options: Any) -> None:
        self.seen.append(self.work(self))


class GracefulInside(Command, GracefulCommand):
    """Listens for signals when it has its lock."""


class GracefulOutside(GracefulCommand, Command):
    """Listens for signals while it waits for its lock, too."""


@pytest.fixture(autouse=True)
def locks_of_one_test(settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "INTERVAL_SECONDS", 0.01)
    monkeypatch.setattr(waiting, "_POLL_SECONDS", 0.01)
    settings.RUNBOOK = {"LOCK": {"BACKEND": "file", "OPTIONS": {"directory": tmp_path / "locks"}}}


@pytest.fixture
def taken() -> Iterator[FileLock]:
    lock = lock_of(NAME)
    assert lock.acquire() is None
    yield lock
    lock.release()


def lock_of(name: str) -> FileLock:
    lock = new_factory(conf.read(), what="a test")(name)
    assert isinstance(lock, FileLock)
    return lock


def is_taken(name: str) -> bool:
    lock = lock_of(name)
    if lock.acquire() is not None:
        return True
    lock.release()
    return False


def test_the_command_holds_a_lock_that_is_named_after_it_while_it_runs() -> None:
    command = Command(lambda command: (is_taken(NAME), command.lock.name, command.lock.is_held()))
    call_command(command)
    assert command.seen == [(True, NAME, True)]
    assert command.lock is None
    assert not is_taken(NAME)


def test_a_second_process_exits_and_reports_the_holder(taken: Lock) -> None:
    command = Command()
    with pytest.raises(
        CommandError, match=f'the lock "{NAME}" is held by a test, process {os.getpid()} on .+, since 2'
    ) as caught:
        call_command(command)
    assert caught.value.returncode == 75
    assert isinstance(caught.value.__cause__, LockHeld)
    assert command.seen == []
    assert taken.is_held()


def test_the_lock_has_its_name_for_other_processes() -> None:
    command = Command(lambda command: str(lock_of(NAME).acquire()))
    call_command(command)
    assert str(command.seen[0]).startswith(f"manage.py test_locked_command, process {os.getpid()} on ")


def test_a_failing_command_releases_its_lock() -> None:
    def fail(command: Command) -> None:
        raise CommandError("no luck", returncode=7)

    with pytest.raises(CommandError, match="no luck") as caught:
        call_command(Command(fail))
    assert caught.value.returncode == 7
    assert not is_taken(NAME)


def test_a_command_can_name_its_lock_after_its_options(taken: Lock) -> None:
    class PerDatabase(Command):
        def get_lock_name(self, **options: Any) -> str | None:
            return None if options["verbosity"] == 0 else f"{super().get_lock_name(**options)} {options['verbosity']}"

    command = PerDatabase(lambda command: command.lock and command.lock.name)
    call_command(command, verbosity=2)
    call_command(command, verbosity=0)
    assert command.seen == [f"{NAME} 2", None]


def test_it_waits_for_the_lock_with_lock_wait(taken: Lock) -> None:
    command = Command()

    def release() -> None:
        wait_until(command.stderr.getvalue, what="the command waits")
        taken.release()

    thread = threading.Thread(target=release)
    thread.start()
    call_command(command, f"--lock-wait={scaled(20)}s")
    thread.join()
    assert command.seen == [None]
    assert command.stderr.getvalue().startswith(f'the lock "{NAME}" is held by a test, ')
    assert command.stderr.getvalue().endswith("; waiting for it\n")


def test_it_waits_at_most_as_long_as_lock_wait(taken: Lock) -> None:
    with pytest.raises(CommandError, match="is held by a test") as caught:
        call_command(Command(), "--lock-wait", "0.05s")
    assert caught.value.returncode == 75


@pytest.mark.parametrize("text", ["soon", "-1s", ""])
def test_an_invalid_duration_is_refused(text: str) -> None:
    with pytest.raises(CommandError, match=r"--lock-wait"):
        call_command(Command(), f"--lock-wait={text}")


def test_a_lost_lock_is_acquired_again_and_reported_once() -> None:
    def lose(command: Any) -> bool:
        command.lock.path.unlink()
        wait_until(command.stderr.getvalue, what="the report")
        # A second report would come in this time.
        time.sleep(0.06)
        return is_taken(NAME)

    command = Command(lose)
    call_command(command)
    assert command.seen == [True]
    reported = f'the lock "{NAME}" was lost and acquired again; no other holder is known\n'
    assert command.stderr.getvalue() == reported


def test_a_lock_that_is_lost_at_the_very_end_is_acquired_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "INTERVAL_SECONDS", 60.0)
    command = Command(lambda command: command.lock.path.unlink())
    call_command(command)
    assert "was lost and acquired again" in command.stderr.getvalue()
    assert not is_taken(NAME)


def take_away(command: Any) -> None:
    """Let another one have the lock, and free it again."""
    command.lock.path.unlink()
    other = lock_of(NAME)
    assert other.acquire() is None
    other.release()


def test_a_lost_lock_is_a_failure_although_the_work_is_done() -> None:
    with pytest.raises(CommandError, match=f'the lock "{NAME}" was lost; another run may have started') as caught:
        call_command(Command(take_away))
    # Not 75, which means that nothing was run.
    assert caught.value.returncode == 1
    assert isinstance(caught.value.__cause__, LockLost)


@pytest.mark.parametrize("kind", [GracefulInside, GracefulOutside])
def test_a_lost_lock_stops_a_graceful_command(kind: type[Command]) -> None:
    def lose(command: Any) -> tuple[bool, str]:
        take_away(command)
        return command.wait(PATIENCE_SECONDS), command.stop_reason

    command = kind(lose)
    with pytest.raises(CommandError, match="was lost") as caught:
        call_command(command)
    assert caught.value.returncode == 1
    assert command.seen == [(True, f'the lock "{NAME}" was lost; another run may have started')]


@pytest.mark.parametrize("kind", [GracefulInside, GracefulOutside])
def test_a_runner_can_stop_the_wait(kind: type[Command], taken: Lock) -> None:
    command = kind()
    with pytest.raises(Stopped, match="stopped while waiting"):
        call_command(command, "--lock-wait=20s", stopping=lambda: True)
    assert command.seen == []


@pytest.mark.slow
@pytest.mark.parametrize("order", ["LockedCommand, GracefulCommand", "GracefulCommand, LockedCommand"])
def test_a_signal_ends_the_wait(order: str, tmp_path: Path, taken: Lock) -> None:
    code = f"""
import django
from django.conf import settings
settings.RUNBOOK = {{"LOCK": {{"BACKEND": "file", "OPTIONS": {{"directory": {str(tmp_path / "locks")!r}}}}}}}
django.setup()
from django_runbook.batch.parts.graceful_command import GracefulCommand
from django_runbook.batch.parts.locked_command import LockedCommand

class Command({order}):
    requires_system_checks = ()

    def get_lock_name(self, **options):
        return {NAME!r}

    def handle(self, **options):
        print("worked")

import sys
print("begins", flush=True)
Command(stderr=sys.stdout).run_from_argv(["manage.py", "wait", "--lock-wait=20s"])
"""
    with started(code) as process:
        assert read_line(process) == "begins"
        assert "waiting for it" in read_line(process)
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate()
    assert process.returncode in {-signal.SIGTERM, 128 + signal.SIGTERM}
    assert "worked" not in output


def test_unavailable_locks_are_a_failure_and_not_a_held_lock(tmp_path: Path) -> None:
    lock_of(NAME).path.mkdir(parents=True, mode=0o700)
    (tmp_path / "locks").chmod(0o700)
    with pytest.raises(CommandError, match="is not a regular file") as caught:
        call_command(Command())
    assert caught.value.returncode == 1
    assert isinstance(caught.value.__cause__, LockUnavailable)


def test_an_invalid_setting_is_reported(settings: Any) -> None:
    settings.RUNBOOK = {"LOCK": "database"}
    with pytest.raises(CommandError, match="has no named locks") as caught:
        call_command(Command())
    assert caught.value.returncode == 2
