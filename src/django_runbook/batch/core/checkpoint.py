"""Stores a batch command's position and the process that owns it."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Sequence
from functools import cache, partial
from typing import Final

from django.db import IntegrityError, connections, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from django_runbook.batch.core.call_keys import is_same_call, with_call
from django_runbook.batch.core.checkpoint_choice import choose_checkpoint, new_upper
from django_runbook.batch.core.error_kinds import RowFailure
from django_runbook.batch.core.failed_rows import FailedRowStore
from django_runbook.batch.core.finished_keys import find_finished, remember_key
from django_runbook.batch.core.new_checkpoints import NewCheckpoints
from django_runbook.batch.core.store import Bounds, Identity, OtherShards, Position
from django_runbook.batch.core.takeover import Takeover
from django_runbook.exceptions import LockHeld, LockLost
from django_runbook.models.checkpoints import MAX_RUN_KEY_LENGTH, Checkpoint, FinishedKey
from django_runbook.models.fields import to_db_text

_ATTEMPTS: Final = 3
# Checkpoints that the next run needs, or a repeated call of a runner.
_IS_KEPT: Final = Q(finished_at=None) | ~Q(call_key="")


class CheckpointStore:
    """Keeps the position in the table of checkpoints."""

    def __init__(
        self,
        identity: Identity,
        *,
        alias: str,
        is_together: bool,
        idle_limit_seconds: float = 60.0,
        log: Callable[[str], None] = lambda text: None,
        wait: Callable[[float], bool] = lambda seconds: False,
        mask: Callable[[str], str] = lambda text: text,
    ) -> None:
        self.alias = alias
        self.is_together = is_together
        self.failed = FailedRowStore(identity=identity, alias=alias, to_stored=self._to_stored)
        self._is_finishing = False
        self._finished: FinishedKey | None = None
        self._identity = identity
        self._owner = uuid.uuid4().hex
        self._pk = 0
        self._log = log
        self._mask = mask
        self._takeover = Takeover(
            identity=identity,
            alias=alias,
            owner=self._owner,
            failed=self.failed,
            idle_limit_seconds=idle_limit_seconds,
            log=log,
            wait=wait,
        )

    def begin(self, *, bounds: Bounds, restart: bool) -> Position | None:
        """Take over the work from its previous owner, or start it."""
        for _ in range(_ATTEMPTS):
            rows = list(self._rows())
            # After the rows are read: a process that finishes the work in between has remembered its key by then.
            if self._has_finished():
                return None
            mine, is_restart = choose_checkpoint(rows, self._identity, restart=restart)
            try:
                if mine is None:
                    return self._start_over(rows, bounds=bounds)
            except IntegrityError:
                # Another shard has started the work, and has written the bounds of all shards.
                continue
            if mine.finished_at is not None and not is_restart:
                self._log_finished(mine)
                self._join(mine)
                return None
            self._pk = mine.pk
            upper = new_upper(mine, bounds) if is_restart else None
            # A call without a run key finishes the work for its key, unless it starts that work over.
            run_keys = self._run_keys if is_restart or self._identity.run_key else {}
            keys = {**run_keys, **with_call([mine], self._identity.call_key)}
            self._takeover.take([mine], keys=keys, new_upper=upper)
            return self.current()
        raise LockHeld("other processes keep starting the same work")

    def advance(self, old: Position, new: Position) -> bool:
        """Move by one batch. As its first statement, this locks the checkpoint before any effect, and waits for it.

        The batch count is compared instead of the cursor, because a collation may treat two different cursors as equal.
        """
        connection = connections[self.alias]
        now = connection.ops.adapt_datetimefield_value(timezone.now())
        counts = (new.batch_count, new.done_count, new.failed_count)
        with connection.cursor() as cursor:
            # A queryset would take a tenth of the time of a batch that is a single statement.
            cursor.execute(
                _advance_statement(self.alias),
                [new.cursor, new.upper, *counts, now, self._pk, self._owner, old.batch_count],
            )
            return bool(cursor.rowcount)

    def correct(self, position: Position) -> None:
        """Write the actual result of the batch, under the row lock that `advance` took."""
        Checkpoint.objects.using(self.alias).filter(pk=self._pk).update(
            cursor=position.cursor, done_count=position.done_count, failed_count=position.failed_count
        )

    def record(self, failures: Iterable[RowFailure]) -> None:
        """Record failed rows."""
        self.failed.record(failures)

    def advance_after(self, old: Position, new: Position, failures: Iterable[RowFailure]) -> bool:
        """Advance and record in one transaction, so that each row before the cursor is done or recorded as failed."""
        with transaction.atomic(using=self.alias):
            if not self.advance(old, new):
                return False
            self.record(failures)
        return True

    def has_failed(self, key: str) -> bool:
        """Return whether a failure of this row is recorded."""
        return self.failed.has_failed(key)

    def other_shards(self) -> OtherShards:
        """Return the stored counts of the other shards."""
        rows = list(self._rows())
        totals = [row.total_count for row in rows]
        known = [count for count in totals if count is not None]
        others = [row for row in rows if row.pk != self._pk]
        return OtherShards(
            done_count=sum(row.done_count for row in others),
            failed_count=sum(row.failed_count for row in others),
            total_count=sum(known) if len(known) == len(totals) else None,
        )

    def lock_shards(self) -> None:
        """Lock the checkpoints of all shards, in the same order in each process; SQLite locks the database anyway."""
        if connections[self.alias].features.has_select_for_update:
            list(self._rows().select_for_update().order_by("pk").values_list("pk"))

    def current(self) -> Position:
        """Return the stored position; raises LockLost if another process has taken over."""
        row = Checkpoint.objects.using(self.alias).filter(pk=self._pk).first()
        if row is None:
            raise LockLost(
                f"the checkpoint of {self._identity.command} was deleted: another process has started the work over, "
                "or the table was emptied; this process stops, and its last batch was not recorded"
            )
        if row.owner != self._owner:
            raise LockLost(
                f"{row.holder} has taken over {self._identity.command}; this process stops, "
                "and its last batch was not recorded"
            )
        return _position(row)

    def finish(self, position: Position) -> None:
        """Mark this shard as finished; when all shards have finished, the next run starts over.

        The run key is remembered in the same transaction. A checkpoint with a ``call_key`` stays until another call
        starts the work or ``prune_runs`` deletes it: a runner that was killed before it recorded the end repeats its
        call.
        """
        is_repeated, self._is_finishing = self._is_finishing, True
        with transaction.atomic(using=self.alias):
            mine = Checkpoint.objects.using(self.alias).filter(pk=self._pk, owner=self._owner)
            if not mine.update(finished_at=timezone.now(), updated_at=timezone.now()):
                if is_repeated and not self._rows().exists():
                    # The first attempt was committed, and only its answer was lost.
                    return
                self.current()
            remember_key(mine.get(), alias=self.alias)
            if not self._rows().filter(_IS_KEPT).exists():
                self._rows().delete()
        if self._identity.shard:
            self._delete_finished_shards()

    def _delete_finished_shards(self) -> None:
        """Delete the checkpoints of shards that finished at the same time: neither has seen the end of the other."""
        if self._rows().filter(_IS_KEPT).exists():
            return
        with transaction.atomic(using=self.alias):
            # Finished checkpoints are locked by nobody but another process that deletes them, or starts over.
            rows = self._rows().select_for_update().order_by("pk").values_list("finished_at", "call_key")
            if all(finished_at is not None and not call_key for finished_at, call_key in rows):
                self._rows().delete()

    def failed_count(self) -> int:
        """Return how many rows of this shard failed when it finished and have not been done since."""
        finished = self._finished
        if finished is not None and self._rows().exclude(key_digest=finished.key_digest).exists():
            # Another run has started since, with failures of its own.
            return finished.failed_count
        return self.failed.of_shard().count()

    def peek(self, fresh: Callable[[], Position], *, bounds: Bounds, restart: bool) -> Position | None:
        """Return where `begin` would begin, without taking anything over."""
        rows = list(self._rows())
        if self._has_finished():
            return None
        mine, is_restart = choose_checkpoint(rows, self._identity, restart=restart)
        if mine is None:
            return fresh()
        if is_restart:
            return Position(start=mine.start, cursor=mine.start, upper=new_upper(mine, bounds))
        if mine.finished_at is not None:
            self._log_finished(mine)
            return None
        return _position(mine)

    def _to_stored(self, text: str) -> str:
        return to_db_text(self._mask(text))

    def _rows(self) -> QuerySet[Checkpoint]:
        return Checkpoint.objects.using(self.alias).filter(scope=self._identity.scope)

    @property
    def _run_keys(self) -> dict[str, str]:
        return {
            "run_key": self._to_stored(self._identity.run_key)[:MAX_RUN_KEY_LENGTH],
            "key_digest": self._identity.key_digest,
        }

    def _has_finished(self) -> bool:
        self._finished = find_finished(self._identity, alias=self.alias)
        if self._finished is None:
            return False
        self._log(
            f'already finished under the run key "{self._finished.run_key}" at '
            f"{self._finished.finished_at:%Y-%m-%d %H:%M:%S}; it is not repeated"
        )
        return True

    def _join(self, mine: Checkpoint) -> None:
        # A later call of the same loop may find that others have finished the rest of the work in the meantime.
        if self._identity.call_key and not is_same_call([mine], self._identity):
            changes = with_call([mine], self._identity.call_key)
            Checkpoint.objects.using(self.alias).filter(pk=mine.pk).update(**changes)

    def _log_finished(self, mine: Checkpoint) -> None:
        if mine.shard and not is_same_call([mine], self._identity):
            self._log(f"shard {mine.shard} has finished; the run ends when its other shards have finished")

    def _start_over(self, rows: Sequence[Checkpoint], *, bounds: Bounds) -> Position:
        # The keys of this call come later: if the rest fails, the call has not started.
        self._takeover.take(rows)
        new = NewCheckpoints(
            identity=self._identity,
            alias=self.alias,
            owner=self._owner,
            holder=self._takeover.holder,
            run_keys=self._run_keys,
            description=self._to_stored(self._identity.description),
            failed=self.failed,
            idle_limit_seconds=self._takeover.idle_limit_seconds if self.is_together else None,
        )
        mine = self._takeover.when_free(partial(new.write, rows, bounds))
        self._pk = mine.pk
        return _position(mine)


@cache
def _advance_statement(alias: str) -> str:
    quote = connections[alias].ops.quote_name
    changed = ("cursor", "upper", "batch_count", "done_count", "failed_count", "updated_at")
    conditions = ("id", "owner", "batch_count")
    changes = ", ".join(f"{quote(name)} = %s" for name in changed)
    where = " AND ".join(f"{quote(name)} = %s" for name in conditions)
    return f"UPDATE {quote(Checkpoint._meta.db_table)} SET {changes} WHERE {where}"  # noqa: S608 - our own names


def _position(row: Checkpoint) -> Position:
    return Position(
        start=row.start,
        cursor=row.cursor,
        upper=row.upper,
        batch_count=row.batch_count,
        done_count=row.done_count,
        failed_count=row.failed_count,
    )
