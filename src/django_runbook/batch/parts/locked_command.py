"""Runs a command one at a time: a second process exits with 75 and reports who holds the lock.

    class Command(LockedCommand):
        help = "Pay all due compensations."

        def handle(self, *args, **options):
            for compensation in Compensation.objects.filter(is_paid=False):
                compensation.pay()

With ``--lock-wait 10m`` the second process waits. ``RUNBOOK["LOCK"]`` defines where locks are kept.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, ClassVar

from django.core.management.base import CommandError, CommandParser

from django_runbook import conf
from django_runbook.batch.parts import option_values
from django_runbook.batch.parts.mixin import CommandMixin
from django_runbook.exceptions import LockHeld, LockLost, RunbookError, Stopped
from django_runbook.locks.base import Holder, Lock, LockState
from django_runbook.locks.factory import new_factory
from django_runbook.locks.waiting import LockWait, held_by
from django_runbook.locks.watching import lost, retaken, settle, watched


class LockedCommand(CommandMixin):
    """Holds a lock while the command runs.

    A lost lock, for example because its file or connection is gone, is acquired again. If another process has held it
    in between, the command exits with 1, and a GracefulCommand is stopped: ``stopping`` becomes true.
    """

    cursor_free_options: ClassVar[tuple[str, ...]] = ("lock_wait",)
    lock: Lock | None = None

    def get_lock_name(self, **options: Any) -> str | None:
        """Return the name of the lock, by default that of the command; None to run without a lock.

        With the value of an option in the name, calls with different values can run at the same time.
        """
        return f"command {self._name}"

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        """Create the parser of the command and add ``--lock-wait``."""
        parser = super().create_parser(prog_name, subcommand, **kwargs)
        parser.add_argument(
            "--lock-wait",
            type=option_values.duration,
            default=0.0,
            metavar="DURATION",
            help="Wait up to DURATION, such as 10m, for another run to end. Default: do not wait.",
        )
        return parser

    def execute(self, *args: Any, **options: Any) -> str | None:
        """Run the command while holding its lock."""
        name = self.get_lock_name(**options)
        if name is None:
            return super().execute(*args, **options)
        try:
            lock = new_factory(conf.read(), what=f"manage.py {self._name}")(name)
            wait_seconds = option_values.option_value(options, "lock_wait", option_values.duration) or 0.0
            self._obtain(lock, wait_seconds=wait_seconds, is_stop_requested=options.get("stopping"))
        except RunbookError as error:
            raise CommandError(str(error), returncode=error.exit_code) from error
        self.lock = lock
        try:
            with watched(lock, on_retaken=self._report_retaken, on_lost=self._stop_without_lock):
                output = super().execute(*args, **options)
            match settle(lock):
                case LockState.RETAKEN:
                    self._report_retaken()
                case LockState.LOST:
                    cause = LockLost(lost(lock.name))
                    raise CommandError(str(cause), returncode=cause.exit_code) from cause
            return output
        finally:
            self.lock = None
            lock.release()

    @property
    def _name(self) -> str:
        return type(self).__module__.rpartition(".")[2]

    def _report_retaken(self) -> None:
        if self.lock is not None:
            self.stderr.write(retaken(self.lock.name), lambda line: line)

    def _stop_without_lock(self) -> None:
        # Only a GracefulCommand can be stopped.
        request_stop: Callable[[str], None] | None = getattr(self, "request_stop", None)
        if request_stop is not None and self.lock is not None:
            request_stop(lost(self.lock.name))

    def _obtain(self, lock: Lock, *, wait_seconds: float, is_stop_requested: Callable[[], bool] | None) -> None:
        def is_stopping() -> bool:
            # A GracefulCommand receives signals once it has begun; a runner can stop it before.
            return getattr(self, "stopping", False) or (is_stop_requested is not None and is_stop_requested())

        def rest(seconds: float) -> bool:
            if not is_stopping():
                time.sleep(seconds)
            return is_stopping()

        def on_wait(holder: Holder | None, reason: str) -> None:
            why = reason if holder is None else held_by(lock, holder)
            self.stderr.write(f"{why}; waiting for it", lambda line: line)

        waiting = LockWait(lock, wait_seconds=wait_seconds, rest=rest, on_wait=on_wait, is_patient=False)
        conflict = waiting.acquire()
        if conflict is not None and waiting.was_stopped:
            raise Stopped(f"stopped while waiting: {conflict}")
        if conflict is not None:
            raise LockHeld(conflict)
