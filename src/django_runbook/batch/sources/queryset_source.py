"""Splits a queryset into key ranges.

It never slices by offset: slices of a filter that the work itself shrinks skip rows, and become slower with each batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from django.core.management.base import CommandError

from django_runbook.batch.core.error_kinds import ItemError
from django_runbook.batch.core.work import BatchOutcome, KeyRange, ShardRange
from django_runbook.batch.django_compat import copy_of, gives_values, has_joins, uses_window
from django_runbook.batch.sources.keyset import Key, KeySearch, Rows

Work = Callable[[Rows, KeyRange], BatchOutcome]
# A search takes as long as reading this many keys: 530 on SQLite, 640 on PostgreSQL and 130 on MariaDB, measured on one
# host with integer keys.
_KEYS_PER_SEARCH: Final = 300
# They are in memory together.
_MAX_KEYS: Final = 100_000


class QuerySetSource:
    """Passes the rows of each key range to ``work``, read within its transaction, in the order of the key."""

    def __init__(self, rows: Rows, *, key: Key, work: Work, is_todo: bool = False) -> None:
        _refuse(rows, is_todo=is_todo)
        self.key = key
        self._rows = key.loaded(rows).order_by(*key.names)
        # order_by() does not undo reverse().
        self._rows.query.standard_ordering = True
        # Searches run outside a transaction, where rows cannot be locked.
        searched = copy_of(self._rows)
        searched.query.select_for_update = False
        self._searched: Rows = searched.values_list(*key.names)
        self._search = KeySearch(self._searched, key)
        self._work = work
        self._label = rows.model._meta.label

    def last(self) -> str:
        """Return the cursor of the last row."""
        return self._last(self._searched)

    def count(self, *, after: str, upto: str) -> int | None:
        """Count the rows."""
        return self.key.between(self._searched, after, upto).count()

    def next_range(self, *, after: str, upto: str, size: int) -> KeyRange | None:
        """Find the next rows, before their transaction, so that a long search holds no locks."""
        found = self._search(after, upto)
        keys = list(found[size - 1 : size])
        if keys:
            return self._key_range(after, self.key.encode(keys[0]), size)
        high = self._last(found)
        return self._key_range(after, high, found.count()) if high else None

    def split(self, key_range: KeyRange, error: ItemError | None) -> Sequence[KeyRange]:
        """Split a range around its failed row or in halves; a range of one row stays whole."""
        if error is not None:
            before = KeyRange(low=key_range.low, high=error.before, count=max(1, error.index))
            row = KeyRange(low=error.before, high=error.key, count=1)
            # Rows may have been added since the range was counted.
            rest = KeyRange(low=error.key, high=key_range.high, count=max(1, key_range.count - error.index - 1))
            return [part for part in (before, row, rest) if part.low != part.high]
        half = self.next_range(after=key_range.low, upto=key_range.high, size=max(1, key_range.count // 2))
        if half is None or half.high == key_range.high:
            return [KeyRange(low=key_range.low, high=key_range.high, count=1)]
        return [half, KeyRange(low=half.high, high=key_range.high, count=max(1, key_range.count - half.count))]

    def process(self, key_range: KeyRange) -> BatchOutcome:
        """Process the rows of a range."""
        if key_range.is_alone:
            values = dict(zip(self.key.names, self.key.decode(key_range.high), strict=True))
            rows = self._rows.filter(**values)
            # A single requested row is waited for.
            rows.query.select_for_update_skip_locked = False
            return self._work(rows, key_range) if rows.exists() else BatchOutcome(high=key_range.high, done_count=0)
        return self._work(self.key.between(self._rows, key_range.low, key_range.high), key_range)

    def find(self, cursors: Sequence[str]) -> Iterator[KeyRange]:
        """Yield a range for each key; whether its row still exists is checked when it is processed."""
        return (KeyRange(low="", high=cursor, count=1, is_alone=True) for cursor in cursors)

    def has_remaining(self, *, after: str, upto: str, without: Sequence[str]) -> bool:
        """Return whether rows remain, other than those at the cursors in ``without``."""
        # Compared here: engines limit the number of conditions, and a share of all rows may have failed.
        failed = frozenset(without)
        remaining = self.key.between(self._searched, after, upto)
        if has_joins(remaining):
            remaining = remaining.distinct()
        return any(self.key.encode(values) not in failed for values in remaining[: len(failed) + 1])

    def name(self, key_range: KeyRange) -> str:
        """Return ``flights.Flight 17``, or the bounds of several rows."""
        high = self.key.name(key_range.high)
        if key_range.count == 1:
            return f"{self._label} {high}"
        return f"{self._label} {f'after {self.key.name(key_range.low)} ' if key_range.low else ''}up to {high}"

    def shard_bounds(self, count: int) -> list[ShardRange]:
        """Return the range of each shard; together they hold every row once."""
        total = self._searched.count()
        ends = [*self._cuts(total, count=count)]
        # With fewer rows than shards, or fewer cuts, the last shards are empty.
        last = self.last()
        ends += [ends[-1] if ends else (last, total)] * (count - 1 - len(ends))
        ends += [(last, total)]
        return [
            ShardRange(start=start, upper=upper, total_count=number - before)
            for (start, before), (upper, number) in zip([("", 0), *ends], ends, strict=False)
        ]

    def _cuts(self, total: int, *, count: int) -> Iterator[tuple[str, int]]:
        """Yield the key and the number of the last row of each shard but the last.

        Each search begins after the row that the previous one found, so together they are one pass over the index. If
        that is faster, one query reads all keys instead.
        """
        numbers = sorted({total * part // count for part in range(1, count)} - {0})
        if total <= min(_KEYS_PER_SEARCH * len(numbers), _MAX_KEYS):
            found = list(self._search("", "")[:total])
            yield from ((self.key.encode(found[number - 1]), number) for number in numbers if number <= len(found))
            return
        after, before = "", 0
        for number in numbers:
            keys = list(self._search(after, "")[number - before - 1 : number - before])
            if not keys:
                # Rows were deleted since they were counted, or joined rows have the same key.
                return
            after, before = self.key.encode(keys[0]), number
            yield after, number

    @property
    def searched(self) -> Rows:
        """Return the rows, in the order of their keys, with nothing else loaded."""
        return self._searched

    @property
    def table(self) -> str:
        """Return the table of the rows."""
        return str(self._rows.model._meta.db_table)

    def first_after(self, cursor: str) -> str:
        """Return the cursor of the first row after another one; empty if there is none."""
        keys = list(self.key.between(self._searched, cursor, "")[:1])
        return self.key.encode(keys[0]) if keys else ""

    def limited(self, rows: Rows, limit: int | None) -> Rows:
        """Return the first of these searched rows, up to the key of the last one."""
        last = [] if limit is None else list(rows[limit - 1 : limit])
        return self.key.between(rows, "", self.key.encode(last[0])) if last else rows

    def close(self) -> None:
        """Do nothing: nothing is open between two ranges."""

    def _last(self, rows: Rows) -> str:
        keys = list(rows.order_by(*self.key.reverse_names)[:1])
        return self.key.encode(keys[0]) if keys else ""

    def _key_range(self, low: str, high: str, count: int) -> KeyRange:
        if high == low:
            raise CommandError(f"{self._label} cannot be ordered by this key: the database finds {high} after itself")
        return KeyRange(low=low, high=high, count=count)


_FILTER_BY_KEYS = "to process the rows that it finds, filter by their primary keys: filter(pk__in=found)"


def _refuse(rows: Rows, *, is_todo: bool) -> None:
    query = rows.query
    if query.is_sliced:
        raise CommandError("get_queryset() must not slice; --limit limits the number of rows")
    if query.combinator:
        raise CommandError("get_queryset() must not be a union, which has no key ranges")
    if gives_values(rows):
        raise CommandError("get_queryset() must return model instances, not values()")
    if uses_window(rows):
        raise CommandError(
            "get_queryset() must not use a window function, which would see the rows of one batch only; "
            f"{_FILTER_BY_KEYS}"
        )
    if query.distinct_fields:
        raise CommandError(
            "get_queryset() must not use distinct() by fields, which would apply to each batch separately; "
            f"{_FILTER_BY_KEYS}"
        )
    if query.select_for_update_skip_locked and not is_todo:
        raise CommandError(
            "get_queryset() must not skip locked rows, which would be left out; lock without skip_locked, or set "
            "is_todo = True if rows leave the queryset when they are done, so that a final pass picks them up"
        )
