"""Takes over checkpoints from their previous owner."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeVar

from django.db import Error, connections, transaction
from django.utils import timezone

from django_runbook.batch.core.error_kinds import ErrorKind, classify, is_lock_wait
from django_runbook.batch.core.failed_rows import FailedRowStore
from django_runbook.batch.core.store import Identity, TakeoverStopped
from django_runbook.batch.core.timeouts import has_idle_timeout, row_lock_timeout
from django_runbook.exceptions import LockHeld
from django_runbook.locks.base import Holder
from django_runbook.models.checkpoints import Checkpoint
from django_runbook.structs import Struct

T = TypeVar("T")
_LOCK_WAIT_SECONDS: Final = 5
_POLL_SECONDS: Final = 0.2


class Takeover(Struct):
    """Writes the token ``owner`` into checkpoints, so that their previous owner commits no further batch.

    It waits for a batch that the previous owner has open, a little longer than that transaction may be idle.
    """

    identity: Identity
    alias: str
    owner: str
    failed: FailedRowStore
    idle_limit_seconds: float
    log: Callable[[str], None]
    wait: Callable[[float], bool]

    @property
    def holder(self) -> str:
        """Return how this process is named to others."""
        return str(Holder.here(what=self.identity.command))[:300]

    def take(
        self, rows: Sequence[Checkpoint], *, keys: Mapping[str, str] | None = None, new_upper: str | None = None
    ) -> None:
        """Become the owner of the checkpoints.

        ``keys`` replaces the keys of the work; others stay, since a call by hand continues the work for its runner and
        its run key. With ``new_upper`` the single checkpoint is reset to its start.
        """
        if not rows:
            return None
        deadline = time.monotonic() + 2 * self.idle_limit_seconds + 30
        is_logged = False
        while True:
            try:
                return self._write_owner(rows, keys=keys or {}, new_upper=new_upper)
            except Error as error:
                if classify(error) is not ErrorKind.TRANSIENT:
                    raise
                if time.monotonic() > deadline:
                    raise LockHeld(f"{self._obstacle(rows[0])}; that transaction does not end") from error
                if not is_logged:
                    self.log(f"waiting: {self._obstacle(rows[0])}{self._timeout_text()}")
                    is_logged = True
            if self.wait(_POLL_SECONDS):
                raise TakeoverStopped

    def when_free(self, start: Callable[[], T]) -> T:
        """Start work that no process owns yet, and wait while another process starts it.

        A process that dies loses its locks, and one of the waiting processes takes its place.
        """
        connection = connections[self.alias]
        has_end = has_idle_timeout(connection)
        deadline = math.inf if has_end else time.monotonic() + 2 * self.idle_limit_seconds + 30
        is_logged = False
        while True:
            try:
                with transaction.atomic(using=self.alias), row_lock_timeout(connection, _LOCK_WAIT_SECONDS):
                    return start()
            except Error as error:
                if not is_lock_wait(error):
                    raise
                if time.monotonic() > deadline:
                    raise LockHeld("an open transaction holds the database; that transaction does not end") from error
                if not is_logged:
                    self.log("waiting: another process starts the same work")
                    is_logged = True
            if self.wait(_POLL_SECONDS):
                raise TakeoverStopped

    def _obstacle(self, row: Checkpoint) -> str:
        is_sqlite = connections[self.alias].vendor == "sqlite"
        text = f"an open transaction holds the {'database' if is_sqlite else 'checkpoint'}"
        return f"{text}; the last owner of the work was {row.holder}" if row.owner else text

    def _timeout_text(self) -> str:
        if not has_idle_timeout(connections[self.alias]):
            return ""
        return f"; the database ends a batch that is idle for {self.idle_limit_seconds:.0f} s"

    def _write_owner(self, rows: Sequence[Checkpoint], *, keys: Mapping[str, str], new_upper: str | None) -> None:
        with (
            transaction.atomic(using=self.alias),
            row_lock_timeout(connections[self.alias], _LOCK_WAIT_SECONDS),
        ):
            changes = {"owner": self.owner, "holder": self.holder, **keys}
            Checkpoint.objects.using(self.alias).filter(pk__in=[row.pk for row in rows]).update(**changes)
            if new_upper is not None:
                self._reset(rows[0], upper=new_upper)

    def _reset(self, row: Checkpoint, *, upper: str) -> None:
        Checkpoint.objects.using(self.alias).filter(pk=row.pk).update(
            cursor=row.start, upper=upper, done_count=0, failed_count=0, finished_at=None, started_at=timezone.now()
        )
        self.failed.all().filter(shard=row.shard).delete()
