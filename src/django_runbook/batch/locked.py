"""A command of which one runs at a time: a second one leaves, with 75, and says who holds the lock.

    class Command(LockedCommand):
        help = "Pay the compensations that are due."

        def handle(self, *args, **options):
            for compensation in Compensation.objects.filter(is_paid=False):
                compensation.pay()

With ``--lock-wait 10m`` the second one waits for its turn. ``RUNBOOK["LOCK"]`` says where the lock is kept.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

from django.core.management.base import CommandError, CommandParser

from django_runbook import conf
from django_runbook.batch import values
from django_runbook.batch.part import Part
from django_runbook.exceptions import LockHeld, LockLost, RunbookError, Stopped
from django_runbook.locks.base import Holder, Lock
from django_runbook.locks.factory import new_factory

_LOOK_SECONDS: Final = 0.2
_WATCH_SECONDS: Final = 1.0


class LockedCommand(Part):
    """A command that holds a lock as long as it runs.

    Where the lock gets lost meanwhile, because its file or its connection does, the command ends with 75 as well.
    With GracefulCommand it is stopped: ``stopping`` turns true.
    """

    lock: Lock | None = None

    def get_lock_name(self, **options: Any) -> str | None:
        """The name of the lock, by default the command's; None to run without.

        A part of the options in it, a database for example, lets those with different ones run at the same time.
        """
        return f"command {self._name}"

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        """The command's parser, with ``--lock-wait``."""
        parser = super().create_parser(prog_name, subcommand, **kwargs)
        parser.add_argument(
            "--lock-wait",
            type=values.duration,
            default=0.0,
            metavar="DURATION",
            help="How long to wait for another run of it to end, as in 10m. Default: not at all.",
        )
        return parser

    def execute(self, *args: Any, **options: Any) -> str | None:
        """Run the command under its lock."""
        name = self.get_lock_name(**options)
        if name is None:
            return super().execute(*args, **options)
        try:
            lock = new_factory(conf.read(), what=f"manage.py {self._name}")(name)
            wait_seconds = values.given(options, "lock_wait", values.duration) or 0.0
            self._obtain(lock, wait_seconds=wait_seconds, asks=options.get("stopping"))
        except RunbookError as error:
            raise CommandError(str(error), returncode=error.exit_code) from error
        self.lock = lock
        try:
            with _watched(self, lock):
                output = super().execute(*args, **options)
            if not lock.is_held():
                fault = LockLost(_lost(lock))
                raise CommandError(str(fault), returncode=fault.exit_code) from fault
            return output
        finally:
            self.lock = None
            lock.release()

    @property
    def _name(self) -> str:
        return type(self).__module__.rpartition(".")[2]

    def _obtain(self, lock: Lock, *, wait_seconds: float, asks: Callable[[], bool] | None) -> None:
        deadline = time.monotonic() + wait_seconds
        holder = lock.acquire()
        if holder is not None and wait_seconds:
            self.stderr.write(f"{_held(lock, holder)}; waiting for it", lambda line: line)
        while holder is not None:
            left = deadline - time.monotonic()
            if left <= 0:
                raise LockHeld(_held(lock, holder))
            # Only a GracefulCommand can be asked to stop, by signals where it has begun, and by a runner.
            if getattr(self, "stopping", False) or (asks is not None and asks()):
                raise Stopped(f"stopped while it waited: {_held(lock, holder)}")
            time.sleep(min(left, _LOOK_SECONDS))
            holder = lock.acquire()


@contextlib.contextmanager
def _watched(command: LockedCommand, lock: Lock) -> Iterator[None]:
    """Asks from time to time whether the lock is still there, for a command that can be asked to stop."""
    request_stop: Callable[[str], None] | None = getattr(command, "request_stop", None)
    if request_stop is None:
        yield
        return
    is_over = threading.Event()

    def look() -> None:
        while not is_over.wait(_WATCH_SECONDS):
            if not lock.is_held():
                request_stop(_lost(lock))
                return

    thread = threading.Thread(target=look, name="runbook-lock-watch", daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def _held(lock: Lock, holder: Holder) -> str:
    return f'the lock "{lock.name}" is held by {holder}'


def _lost(lock: Lock) -> str:
    return f'the lock "{lock.name}" got lost, so that another run may be at work'
