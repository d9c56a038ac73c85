"""Records the rows of a piece of work that failed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from django.db.models import F, QuerySet
from django.utils import timezone

from django_runbook.batch.core.error_kinds import RowFailure
from django_runbook.batch.core.store import Identity, digest
from django_runbook.models.checkpoints import Checkpoint, FailedRow
from django_runbook.structs import Struct

_TRACEBACK_LENGTH: Final = 4000


class FailedRowStore(Struct):
    """Reads and writes the failure records of one piece of work; ``to_stored`` masks a string for the database."""

    identity: Identity
    alias: str
    to_stored: Callable[[str], str]

    def all(self) -> QuerySet[FailedRow]:
        """Return the records of all shards."""
        return FailedRow.objects.using(self.alias).filter(scope=self.identity.scope)

    def of_shard(self) -> QuerySet[FailedRow]:
        """Return the records of this shard."""
        return self.all().filter(shard=self.identity.shard)

    def has_failed(self, key: str) -> bool:
        """Return whether a failure of this row is recorded."""
        return self.all().filter(key_digest=digest(key)).exists()

    def record(self, failures: Iterable[RowFailure]) -> None:
        """Record failures, one record per row."""
        for failure in failures:
            if self.record_again(failure):
                continue
            FailedRow.objects.using(self.alias).create(
                scope=self.identity.scope,
                shard=self.identity.shard,
                command=self.identity.command,
                key_digest=digest(failure.key),
                key=failure.key,
                name=self.to_stored(failure.name),
                **self._texts(failure),
            )

    def record_again(self, failure: RowFailure, *, known_as: str = "") -> bool:
        """Count one more failure of a recorded row; False if there is no record of it.

        ``known_as`` is the recorded key, if it differs from the key of the failure.
        """
        known = self.all().filter(key_digest=digest(known_as or failure.key))
        changes = {"attempt_count": F("attempt_count") + 1, "failed_at": timezone.now(), **self._texts(failure)}
        return bool(known.update(key=failure.key, key_digest=digest(failure.key), **changes))

    def rename(self, key: str, new_key: str) -> None:
        """Change the key of a recorded row."""
        self.all().filter(key_digest=digest(key)).update(key=new_key, key_digest=digest(new_key))

    def claim(self, row: FailedRow) -> bool:
        """Begin the transaction that retries a failed row: delete its record, and keep batches of its shard waiting.

        Returns False if the record is gone, because another process has done the row.

        A batch moves its checkpoint before it reads its rows, so it waits here and then sees what this transaction has
        committed. The checkpoint is written rather than locked: SQLite has no row locks, and under REPEATABLE READ
        PostgreSQL would let a batch continue with what it saw before.
        """
        checkpoints = Checkpoint.objects.using(self.alias).filter(scope=self.identity.scope)
        checkpoints.filter(shard=row.shard).update(holder=F("holder"))
        count, _ = self.all().filter(pk=row.pk).delete()
        return bool(count)

    def _texts(self, failure: RowFailure) -> dict[str, Any]:
        # Shortened last: the mask would not find a secret that has been cut in two.
        return {
            "error": self.to_stored(failure.error),
            "traceback": self.to_stored(failure.traceback)[-_TRACEBACK_LENGTH:],
        }
