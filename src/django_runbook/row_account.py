"""Defines the row account of a step: how many rows it inserted, updated and deleted in each table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from django_runbook.structs import Struct, field, given_fields, replace
from django_runbook.wording import number_of

_MAX_TABLES: Final = 5
_SIGNS: Final = {"inserted": "+", "updated": "~", "deleted": "-", "written": "+~"}

_WORDS: Final = {"written": "inserted or updated"}


class TableCounts(Struct):
    """Holds the numbers of rows of one table; ``written`` counts rows that were either inserted or updated."""

    inserted: int = 0
    updated: int = 0
    deleted: int = 0
    written: int = 0

    def __add__(self, other: TableCounts) -> TableCounts:
        return TableCounts(
            inserted=self.inserted + other.inserted,
            updated=self.updated + other.updated,
            deleted=self.deleted + other.deleted,
            written=self.written + other.written,
        )

    @property
    def sum(self) -> int:
        return self.inserted + self.updated + self.deleted + self.written

    @property
    def words(self) -> str:
        """Return the counts with their names: ``3 inserted, 12 updated``."""
        return ", ".join(f"{count:,} {_WORDS.get(name, name)}" for name, count in given_fields(self))

    def __str__(self) -> str:
        return " ".join(f"{_SIGNS[name]}{count:,}" for name, count in given_fields(self))


class RowAccount(Struct):
    """Holds the counts of each table. A table of another database than the default one is named ``table@alias``.

    ``notes`` say why more rows may have changed; ``unknown`` says why nothing was counted.
    """

    tables: Mapping[str, TableCounts] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    unknown: str = ""

    def without(self, alias: str, *, default: str) -> RowAccount:
        """Return the account without the tables of one database."""
        kept = {name: counts for name, counts in self.tables.items() if (name.partition("@")[2] or default) != alias}
        return replace(self, tables=kept)

    def __str__(self) -> str:
        """Format the account as a line: ``flights_flight +27,004 ~12 -3``; empty if nothing changed."""
        if self.unknown:
            return f"rows unknown: {self.unknown}"
        ordered = sorted(self.tables.items(), key=lambda item: (-item[1].sum, item[0]))
        parts = [f"{name} {counts}" for name, counts in ordered[:_MAX_TABLES]]
        if len(ordered) > _MAX_TABLES:
            parts.append(f"{number_of(len(ordered) - _MAX_TABLES, 'more table')}")
        text = ", ".join(parts)
        if not self.notes:
            return text
        return f"at least {text}" if text else f"rows unknown: {self.notes[0]}"


def to_stored(account: RowAccount | None) -> dict[str, Any] | None:
    """Return the stored form of an account."""
    if account is None:
        return None
    stored: dict[str, Any] = {"tables": {name: dict(given_fields(counts)) for name, counts in account.tables.items()}}
    if account.notes:
        stored["notes"] = list(account.notes)
    if account.unknown:
        stored["unknown"] = account.unknown
    return stored


def from_stored(stored: Mapping[str, Any] | None) -> RowAccount | None:
    """Return the account of a stored form."""
    if stored is None:
        return None
    return RowAccount(
        tables={name: TableCounts(**counts) for name, counts in stored["tables"].items()},
        notes=tuple(stored.get("notes", ())),
        unknown=stored.get("unknown", ""),
    )
