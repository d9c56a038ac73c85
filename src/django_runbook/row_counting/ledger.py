"""Keeps row counts as a database keeps rows: what is rolled back does not count."""

from __future__ import annotations

from django_runbook.row_account import TableCounts

Tables = dict[str, TableCounts]


class Ledger:
    """Holds the counts of one connection: those that are committed, and those of its open transaction.

    The open transaction has a level for itself and one for each savepoint in it.
    """

    def __init__(self) -> None:
        self.committed: Tables = {}
        self._levels: list[tuple[str, Tables]] = []

    @property
    def is_open(self) -> bool:
        """Return whether the open transaction has counts or savepoints."""
        return bool(self._levels)

    def add(self, changes: Tables, *, is_in_transaction: bool) -> None:
        """Count rows that a statement has changed."""
        if not is_in_transaction:
            _merge(self.committed, changes)
            return
        if not self._levels:
            self._levels.append(("", {}))
        _merge(self._levels[-1][1], changes)

    def save(self, name: str) -> None:
        """Begin a savepoint."""
        if not self._levels:
            self._levels.append(("", {}))
        self._levels.append((name, {}))

    def release(self, name: str) -> None:
        """Add the counts of a savepoint, and of those inside of it, to the level around it."""
        if (index := self._index(name)) is not None:
            inside = self._levels[index:]
            del self._levels[index:]
            for _, tables in inside:
                _merge(self._levels[-1][1], tables)

    def roll_back_to(self, name: str) -> None:
        """Discard the counts since a savepoint, which remains."""
        if (index := self._index(name)) is not None:
            del self._levels[index:]
            self._levels.append((name, {}))

    def commit(self) -> None:
        """Keep the counts of the open transaction."""
        for _, tables in self._levels:
            _merge(self.committed, tables)
        self._levels.clear()

    def roll_back(self) -> None:
        """Discard the counts of the open transaction."""
        self._levels.clear()

    def _index(self, name: str) -> int | None:
        # The newest of several savepoints with the same name. The first level is the transaction itself.
        found = (index for index in range(len(self._levels) - 1, 0, -1) if self._levels[index][0] == name)
        return next(found, None)


def _merge(tables: Tables, more: Tables) -> None:
    for name, counts in more.items():
        before = tables.get(name)
        tables[name] = counts if before is None else before + counts
