"""Keep how far a piece of work is where that outlives the process, and say who may move it on."""

from __future__ import annotations

import hashlib
import sqlite3
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any, Final, Protocol

from django.core.management.base import CommandError
from django.db import DatabaseError, Error, IntegrityError, connections, router, transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from django_runbook.batch.core.error_kinds import Failure, Kind, classify
from django_runbook.batch.core.retrying import Patience
from django_runbook.batch.core.timeouts import is_idle_limited, limited_wait
from django_runbook.exceptions import LockHeld, LockLost
from django_runbook.fields import storable
from django_runbook.locks.base import Holder
from django_runbook.models import MAX_RUN_KEY_LENGTH, Checkpoint, FailedRow, FinishedKey

_LOCK_WAIT_SECONDS: Final = 5
_LOOKS: Final = 3
_TRACEBACK_LENGTH: Final = 4000


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """How far the work is, as cursors: from ``start``, empty for all there is, up to ``upper``, where that is known."""

    start: str = ""
    cursor: str = ""
    upper: str = ""
    batch_count: int = 0
    done_count: int = 0
    failed_count: int = 0

    def moved(self, cursor: str, *, done_count: int, failed_count: int = 0) -> Position:
        """Where the work stands after one more batch."""
        return replace(
            self,
            cursor=cursor,
            batch_count=self.batch_count + 1,
            done_count=self.done_count + done_count,
            failed_count=self.failed_count + failed_count,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Tells pieces of work apart.

    ``scope`` is a digest of all that the meaning of a cursor depends on, but for the shard.
    ``call_key`` is the runner's name for the call, ``run_key`` the name that the command line gives the work. Work that
    has finished under the same one is not done again. Unfinished work is continued by any call, but only under its
    own ``run_key``.
    """

    command: str
    description: str
    scope: str
    shard: str = ""
    call_key: str = ""
    run_key: str = ""

    @property
    def key_digest(self) -> str:
        """Return what stands for the run key where keys are compared; empty without one."""
        return _digest(self.run_key) if self.run_key else ""


class StopAsked(Exception):
    """A stop was asked for while the work could not be taken over yet."""


class Store(Protocol):
    """Where the position is kept.

    With ``is_together`` it moves in the transaction of the rows, else in one of its own after that, in the database
    ``alias``, which is empty where nothing is kept.
    """

    alias: str
    is_together: bool

    def begin(self, *, bounds: Callable[[], Sequence[tuple[str, str]]], restart: bool) -> Position | None:
        """Take the work over; None when it was finished. ``bounds`` gives start and end of each shard."""

    def advance(self, old: Position, new: Position) -> bool:
        """Move on; False where the position is another one than ``old``, or is somebody else's."""

    def correct(self, position: Position) -> None:
        """Write what a batch, which has moved on already, has come to."""

    def record(self, failures: Iterable[Failure]) -> None:
        """Keep what could not be done."""

    def advance_after(self, old: Position, new: Position, failures: Iterable[Failure]) -> bool:
        """Move on and record, both or neither, where that is not done in the transaction of the rows."""

    def has_failed(self, key: str) -> bool:
        """Whether that is kept of this one already."""

    def current(self) -> Position:
        """The position as it is kept; raises LockLost where somebody else has taken over."""

    def finish(self, position: Position) -> None:
        """All is done: the next run begins anew."""


class RowStore:
    """Keeps the position in the table of checkpoints."""

    def __init__(
        self,
        identity: Identity,
        *,
        alias: str,
        is_together: bool,
        idle_limit_seconds: float = 60.0,
        tell: Callable[[str], None] = lambda text: None,
        wait: Callable[[float], bool] = lambda seconds: False,
        mask: Callable[[str], str] = lambda text: text,
    ) -> None:
        self.alias = alias
        self.is_together = is_together
        self._is_finishing = False
        self._finished: FinishedKey | None = None
        self._identity = identity
        self._owner = uuid.uuid4().hex
        self._pk = 0
        self._patience_seconds = 2 * idle_limit_seconds + 30
        self._idle_limit_seconds = idle_limit_seconds
        self._tell = tell
        self._wait = wait
        self._mask = mask

    def begin(self, *, bounds: Callable[[], Sequence[tuple[str, str]]], restart: bool) -> Position | None:
        """Take the work over from whoever had it, or begin it."""
        for _ in range(_LOOKS):
            rows = list(self._rows())
            # After the rows are read: whoever finishes the work meanwhile has remembered its key by then.
            if self._has_finished():
                return None
            mine, is_restart = self._to_continue(rows, restart=restart)
            try:
                if mine is None:
                    return self._begin_anew(rows, bounds=bounds())
            except IntegrityError:
                # Another shard has begun in the same moment, and has written the bounds of all.
                continue
            if mine.finished_at is not None and not is_restart:
                self._tell_finished(mine)
                return None
            self._pk = mine.pk
            new_upper = _upper_anew(mine, bounds) if is_restart else None
            self._take_over([mine], keys=self._keys, new_upper=new_upper)
            return self.current()
        raise LockHeld("others begin the same work again and again")

    def advance(self, old: Position, new: Position) -> bool:
        """Move on by one batch. Its first statement: it takes the row before any effect, and waits for it.

        The count of batches stands for the cursor, whose text one collation may hold for another's equal.
        """
        connection = connections[self.alias]
        now = connection.ops.adapt_datetimefield_value(timezone.now())
        counts = (new.batch_count, new.done_count, new.failed_count)
        with connection.cursor() as cursor:
            # By a queryset it would take a tenth of the time of a batch that is one statement.
            cursor.execute(
                _advance_statement(self.alias),
                [new.cursor, new.upper, *counts, now, self._pk, self._owner, old.batch_count],
            )
            return bool(cursor.rowcount)

    def correct(self, position: Position) -> None:
        """Write what the batch has come to, under the row lock that `advance` took."""
        Checkpoint.objects.using(self.alias).filter(pk=self._pk).update(
            cursor=position.cursor, done_count=position.done_count, failed_count=position.failed_count
        )

    def record(self, failures: Iterable[Failure]) -> None:
        """Keep what could not be done, each row once."""
        for failure in failures:
            if self.fail_again(failure):
                continue
            FailedRow.objects.using(self.alias).create(
                scope=self._identity.scope,
                shard=self._identity.shard,
                command=self._identity.command,
                key_digest=_digest(failure.key),
                key=failure.key,
                name=self._text(failure.name),
                **self._texts(failure),
            )

    def fail_again(self, failure: Failure, *, known_as: str = "") -> bool:
        """Note one more failure of a row; False where none is recorded, or somebody else has done the row since.

        ``known_as`` is the key that it is recorded by, where that was another one.
        """
        known = self.failed_rows().filter(key_digest=_digest(known_as or failure.key))
        changes = {"attempt_count": F("attempt_count") + 1, "failed_at": timezone.now(), **self._texts(failure)}
        return bool(known.update(key=failure.key, key_digest=_digest(failure.key), **changes))

    def rename_failed(self, key: str, new_key: str) -> None:
        """Have a row that failed known by another key."""
        known = self.failed_rows().filter(key_digest=_digest(key))
        known.update(key=new_key, key_digest=_digest(new_key))

    def advance_after(self, old: Position, new: Position, failures: Iterable[Failure]) -> bool:
        """Move on and record in a transaction of their own: a row that is gone past is done, or recorded as failed."""
        with transaction.atomic(using=self.alias):
            if not self.advance(old, new):
                return False
            self.record(failures)
        return True

    def has_failed(self, key: str) -> bool:
        """Whether this one is among what could not be done."""
        return self.failed_rows().filter(key_digest=_digest(key)).exists()

    def take(self, row: FailedRow) -> bool:
        """Begin the transaction that does a failed row: no batch of the same work commits beside it, and its record is
        deleted; False where that is gone, because somebody else has done the row.

        A batch moves its checkpoint before it reads its rows, so it waits here, and then sees the row as we leave it. A
        write, and no lock alone: SQLite has none, and PostgreSQL would let a batch go on with what it saw before, where
        it isolates by REPEATABLE READ.
        """
        self._rows().filter(shard=row.shard).update(holder=F("holder"))
        count, _ = self.failed_rows().filter(pk=row.pk).delete()
        return bool(count)

    def failed_rows(self) -> QuerySet[FailedRow]:
        """What could not be done of this work, by all of its shards."""
        return FailedRow.objects.using(self.alias).filter(scope=self._identity.scope)

    def failed_rows_of_shard(self) -> QuerySet[FailedRow]:
        """What this shard could not do."""
        return self.failed_rows().filter(shard=self._identity.shard)

    def current(self) -> Position:
        """The position as it is kept."""
        row = Checkpoint.objects.using(self.alias).filter(pk=self._pk).first()
        if row is None:
            raise LockLost(
                f"the checkpoint of {self._identity.command} is gone: somebody began the work anew, or emptied "
                "its table; this process stops, and its last batch was not kept"
            )
        if row.owner != self._owner:
            raise LockLost(
                f"{row.holder} has taken over {self._identity.command}; this process stops, "
                "and its last batch was not kept"
            )
        return _position(row)

    def finish(self, position: Position) -> None:
        """Let the next run start from the beginning, once all shards are done.

        The key of the work is remembered in the same transaction. A row with a ``call_key`` stays, until the work is
        begun in the name of another call, or ``prune_runs`` deletes it: a runner that was killed before it had noted
        the end will make its call again.
        """
        is_asked_again, self._is_finishing = self._is_finishing, True
        with transaction.atomic(using=self.alias):
            mine = Checkpoint.objects.using(self.alias).filter(pk=self._pk, owner=self._owner)
            if not mine.update(finished_at=timezone.now(), updated_at=timezone.now()):
                if is_asked_again and not self._rows().exists():
                    # It went through the first time, and just its answer was lost.
                    return
                self.current()
            self._remember_key(mine.get())
            if not self._rows().filter(Q(finished_at=None) | ~Q(call_key="")).exists():
                self._rows().delete()

    def failed_count(self) -> int:
        """Return how many rows of this shard failed when it finished, without those that were done since."""
        finished = self._finished
        if finished is not None and self._rows().exclude(key_digest=finished.key_digest).exists():
            # Another run has begun since, with failures of its own.
            return finished.failed_count
        return self.failed_rows_of_shard().count()

    def peek(
        self, fresh: Callable[[], Position], *, bounds: Callable[[], Sequence[tuple[str, str]]], restart: bool
    ) -> Position | None:
        """Where `begin` would, for a dry run, which takes nothing over."""
        rows = list(self._rows())
        if self._has_finished():
            return None
        mine, is_restart = self._to_continue(rows, restart=restart)
        if mine is None:
            return fresh()
        if is_restart:
            return Position(start=mine.start, cursor=mine.start, upper=_upper_anew(mine, bounds))
        if mine.finished_at is not None:
            self._tell_finished(mine)
            return None
        return _position(mine)

    def _text(self, text: str) -> str:
        return storable(self._mask(text))

    def _texts(self, failure: Failure) -> dict[str, Any]:
        # Shortened at last: of a secret that is cut in two, the mask would not find the rest.
        return {"error": self._text(failure.error), "traceback": self._text(failure.traceback)[-_TRACEBACK_LENGTH:]}

    def _rows(self) -> QuerySet[Checkpoint]:
        return Checkpoint.objects.using(self.alias).filter(scope=self._identity.scope)

    @property
    def _keys(self) -> dict[str, str]:
        """The columns that name the work; one without a value leaves what is there."""
        names = {
            "call_key": self._identity.call_key,
            "run_key": self._text(self._identity.run_key)[:MAX_RUN_KEY_LENGTH],
            "key_digest": self._identity.key_digest,
        }
        return {name: value for name, value in names.items() if value}

    def _has_finished(self) -> bool:
        """Return whether the work has finished under its run key, and say so."""
        self._finished = self._find_finished()
        if self._finished is None:
            return False
        self._tell(
            f'it has finished under the run key "{self._finished.run_key}" before, at '
            f"{self._finished.finished_at:%Y-%m-%d %H:%M:%S}, and is not done again"
        )
        return True

    def _find_finished(self) -> FinishedKey | None:
        if not self._identity.run_key:
            return None
        asked = FinishedKey.objects.using(self.alias)
        known = {
            one.shard: one for one in asked.filter(scope=self._identity.scope, key_digest=self._identity.key_digest)
        }
        if self._identity.shard in known:
            return known[self._identity.shard]
        splits = {_count_of(shard) for shard in known} - {_count_of(self._identity.shard)}
        for count in splits:
            if all(shard in known for shard in _shards(count)):
                return known[_shards(count)[0]]
        if splits:
            raise CommandError(
                f"{self._identity.command} is unfinished under this run key with other shards ({', '.join(known)} "
                "finished); finish it with those"
            )
        return None

    def _remember_key(self, row: Checkpoint) -> None:
        """Remember the key of the work, which may be that of an earlier call that was continued without one."""
        if row.key_digest:
            FinishedKey.objects.using(self.alias).get_or_create(
                scope=row.scope,
                key_digest=row.key_digest,
                shard=row.shard,
                defaults={
                    "command": row.command,
                    "run_key": row.run_key,
                    "done_count": row.done_count,
                    "failed_count": row.failed_count,
                },
            )

    def _to_continue(self, rows: Sequence[Checkpoint], *, restart: bool) -> tuple[Checkpoint | None, bool]:
        """Return our row, unless the work is begun again as a whole, and whether it goes back to its start."""
        mine = next((row for row in rows if row.shard == self._identity.shard), None)
        if rows and mine is None:
            self._refuse_other_split(rows, restart=restart)
        is_same_call = mine is not None and self._is_same_call(mine)
        # A call that was interrupted has started over already.
        is_restart = restart and not (is_same_call or (mine is not None and self._is_same_key(mine)))
        if not is_restart:
            self._refuse_other_key(rows)
        is_new = _is_new_run(rows, is_same_call=is_same_call, restart=is_restart)
        return None if is_new else mine, is_restart

    def _is_same_call(self, row: Checkpoint) -> bool:
        return bool(row.call_key) and row.call_key == self._identity.call_key

    def _is_same_key(self, row: Checkpoint) -> bool:
        return bool(row.key_digest) and row.key_digest == self._identity.key_digest

    def _refuse_other_key(self, rows: Sequence[Checkpoint]) -> None:
        """Refuse to continue under one key what was begun under another: a part of it would be done for neither."""
        if not self._identity.run_key:
            return
        others = [row for row in rows if row.finished_at is None and not self._is_same_key(row)]
        if others:
            key = others[0].run_key
            begun = f'--run-key "{key}"' if key else "no --run-key"
            raise CommandError(
                f"{self._identity.command} is unfinished, and was begun with {begun}; finish it with "
                f"{'that' if key else 'none'}, or start over with --restart"
            )

    def _refuse_other_split(self, rows: Sequence[Checkpoint], *, restart: bool) -> None:
        if restart or all(row.finished_at is not None for row in rows):
            return
        shards = ", ".join(row.shard or "one without --shard" for row in rows if row.finished_at is None)
        raise CommandError(
            f"{self._identity.command} is unfinished with other shards ({shards}); "
            "finish it with those, or start over with --restart"
        )

    def _tell_finished(self, mine: Checkpoint) -> None:
        if mine.shard and not self._is_same_call(mine):
            self._tell(f"shard {mine.shard} has finished; the run ends with its other shards")

    def _begin_anew(self, rows: Sequence[Checkpoint], *, bounds: Sequence[tuple[str, str]]) -> Position:
        # Not yet in our call's name: if the rest fails, it has not begun.
        self._take_over(rows)
        call_keys = {row.shard: row.call_key for row in rows}
        with transaction.atomic(using=self.alias):
            # Just the known ones: where another shard has begun anew meanwhile, its rows are met by the constraint.
            self._rows().filter(pk__in=[row.pk for row in rows]).delete()
            # A run from the start does those rows too.
            self.failed_rows().delete()
            made = [
                self._create(shard=shard, start=start, upper=upper, call_key=call_keys.get(shard, ""))
                for shard, (start, upper) in zip(_shards(len(bounds)), bounds, strict=True)
            ]
        (mine,) = (row for row in made if row.shard == self._identity.shard)
        self._pk = mine.pk
        return _position(mine)

    def _create(self, *, shard: str, start: str, upper: str, call_key: str) -> Checkpoint:
        is_mine = shard == self._identity.shard
        # The shards of one run have one run key, and each a call of its own.
        keys = {"call_key": call_key} | self._keys
        if not is_mine:
            keys["call_key"] = call_key
        return Checkpoint.objects.using(self.alias).create(
            scope=self._identity.scope,
            shard=shard,
            command=self._identity.command,
            description=self._text(self._identity.description),
            **keys,
            owner=self._owner if is_mine else "",
            holder=self._holder() if is_mine else "nobody yet",
            start=start,
            cursor=start,
            upper=upper,
        )

    def _holder(self) -> str:
        return str(Holder.here(what=self._identity.command))[:300]

    def _take_over(
        self, rows: Sequence[Checkpoint], *, keys: Mapping[str, str] | None = None, new_upper: str | None = None
    ) -> None:
        """Write our token, so that the one before us commits no more, after waiting for what it is in the middle of.

        Keys that are not given stay: whoever does the work by hand does it for a runner, and under its run key, too.
        With ``new_upper`` the one row goes back to its start.
        """
        if not rows:
            return None
        deadline = time.monotonic() + self._patience_seconds
        is_told = False
        while True:
            try:
                return self._write_owner(rows, keys=keys or {}, new_upper=new_upper)
            except Error as error:
                if classify(error) is not Kind.TRANSIENT:
                    raise
                if time.monotonic() > deadline:
                    raise LockHeld(f"{self._obstacle(rows[0])}; that transaction does not end") from error
                if not is_told:
                    self._tell(f"waiting: {self._obstacle(rows[0])}{self._way_out()}")
                    is_told = True
            if self._wait(0.2):
                raise StopAsked

    def _obstacle(self, row: Checkpoint) -> str:
        is_sqlite = connections[self.alias].vendor == "sqlite"
        text = f"an open transaction holds the {'database' if is_sqlite else 'checkpoint'}"
        return f"{text}; the last one at work on it was {row.holder}" if row.owner else text

    def _way_out(self) -> str:
        if not is_idle_limited(connections[self.alias]):
            return ""
        return f"; the database ends a batch in which nothing happens for {self._idle_limit_seconds:.0f} s"

    def _write_owner(self, rows: Sequence[Checkpoint], *, keys: Mapping[str, str], new_upper: str | None) -> None:
        with (
            transaction.atomic(using=self.alias),
            limited_wait(connections[self.alias], _LOCK_WAIT_SECONDS),
        ):
            changes = {"owner": self._owner, "holder": self._holder(), **keys}
            Checkpoint.objects.using(self.alias).filter(pk__in=[row.pk for row in rows]).update(**changes)
            if new_upper is not None:
                self._reset(rows[0], upper=new_upper)

    def _reset(self, row: Checkpoint, *, upper: str) -> None:
        Checkpoint.objects.using(self.alias).filter(pk=row.pk).update(
            cursor=row.start, upper=upper, done_count=0, failed_count=0, finished_at=None, started_at=timezone.now()
        )
        self.failed_rows().filter(shard=row.shard).delete()


class DryStore:
    """Begins where the work stands, and keeps nothing."""

    alias = ""
    is_together = True

    def __init__(self, store: RowStore | None, *, shard_index: int = 0) -> None:
        self._store = store
        self._shard_index = shard_index
        self._position = Position()

    def begin(self, *, bounds: Callable[[], Sequence[tuple[str, str]]], restart: bool) -> Position | None:
        """The position of the run that would be continued, or the start of one; None where it has finished."""

        def fresh() -> Position:
            start, upper = bounds()[self._shard_index]
            return Position(start=start, cursor=start, upper=upper)

        if self._store is None:
            found: Position | None = fresh()
        else:
            found = self._store.peek(fresh, bounds=bounds, restart=restart)
        self._position = found or Position()
        return found

    def advance(self, old: Position, new: Position) -> bool:
        """Nothing moves. On SQLite a transaction that begins with a read fails where another process writes, and one
        that begins with a write waits: so there is one, which meets no row."""
        store = self._store
        if store is not None and store.is_together and connections[store.alias].vendor == "sqlite":
            try:
                store.advance(old, new)
            except DatabaseError as error:
                # Where nobody can write, there is nobody to wait for.
                if getattr(error.__cause__, "sqlite_errorcode", 0) & 0xFF != sqlite3.SQLITE_READONLY:
                    raise
        return True

    def correct(self, position: Position) -> None:
        """Nothing is corrected."""

    def record(self, failures: Iterable[Failure]) -> None:
        """Nothing is recorded."""

    def advance_after(self, old: Position, new: Position, failures: Iterable[Failure]) -> bool:
        """Nothing moves."""
        return True

    def has_failed(self, key: str) -> bool:
        """Nothing is known."""
        return False

    def current(self) -> Position:
        """Where it began: no batch of a dry run was ever kept."""
        return self._position

    def finish(self, position: Position) -> None:
        """Nothing has finished."""


class NoStore(DryStore):
    """Keeps nothing, for lack of a table: a run that is cut off begins again from the start."""

    is_together = False

    def __init__(self) -> None:
        super().__init__(None)


@cache
def _advance_statement(alias: str) -> str:
    quote = connections[alias].ops.quote_name
    changed = ("cursor", "upper", "batch_count", "done_count", "failed_count", "updated_at")
    asked = ("id", "owner", "batch_count")
    changes = ", ".join(f"{quote(name)} = %s" for name in changed)
    conditions = " AND ".join(f"{quote(name)} = %s" for name in asked)
    return f"UPDATE {quote(Checkpoint._meta.db_table)} SET {changes} WHERE {conditions}"  # noqa: S608 - names of ours


def table_alias(alias: str, *, wait: Callable[[float], bool] = lambda seconds: False) -> str | None:
    """The database that has the table of checkpoints for rows of this one: itself, else the default one, else none."""
    for candidate in dict.fromkeys((alias, router.db_for_write(Checkpoint))):
        has_table = partial(Patience(alias=candidate, wait=wait).ask, partial(_has_table, candidate))
        if router.allow_migrate_model(candidate, Checkpoint) and has_table():
            return candidate
    return None


def _has_table(alias: str) -> bool:
    try:
        # A savepoint, as in a transaction a failed statement would spoil it.
        with transaction.atomic(using=alias):
            Checkpoint.objects.using(alias).only("pk").first()
            FailedRow.objects.using(alias).only("pk").first()
            FinishedKey.objects.using(alias).only("pk").first()
    except DatabaseError as error:
        if classify(error) is Kind.TRANSIENT:
            raise
        return False
    return True


def _shards(count: int) -> list[str]:
    return [f"{number}/{count}" if count > 1 else "" for number in range(1, count + 1)]


def _count_of(shard: str) -> int:
    """Return how many shards there are with this one."""
    return int(shard.partition("/")[2] or 1)


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def _position(row: Checkpoint) -> Position:
    return Position(
        start=row.start,
        cursor=row.cursor,
        upper=row.upper,
        batch_count=row.batch_count,
        done_count=row.done_count,
        failed_count=row.failed_count,
    )


def _is_new_run(rows: Sequence[Checkpoint], *, is_same_call: bool, restart: bool) -> bool:
    if restart and len(rows) == 1:
        return True
    return all(row.finished_at is not None for row in rows) and not is_same_call


def _upper_anew(row: Checkpoint, bounds: Callable[[], Sequence[tuple[str, str]]]) -> str:
    """Where a shard ends that begins anew while others are at work: the last one takes in what has been added."""
    number, _, count = row.shard.partition("/")
    return bounds()[-1][1] if number == count else row.upper
