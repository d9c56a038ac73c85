"""Parses the targets of wait_for and checks whether they are available."""

from __future__ import annotations

import math
import uuid
from argparse import ArgumentTypeError
from collections.abc import Iterable
from typing import Final

from django.core.cache import caches
from django.core.cache.backends.dummy import DummyCache
from django.core.management.base import CommandError
from django.db import DEFAULT_DB_ALIAS, Error, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.executor import MigrationExecutor

from django_runbook.document.similar_names import suggestion
from django_runbook.structs import Struct
from django_runbook.wording import choose_from

_CONNECT_SECONDS: Final = 5
_SHOWN_COUNT: Final = 3


class Target(Struct):
    """Identifies a database, a cache, or the migrations of a database by its kind and alias."""

    kind: str
    alias: str

    def __str__(self) -> str:
        return f'{self.kind} "{self.alias}"'

    def missing(self, *, within_seconds: float) -> str:
        """Return why the target is unavailable, or an empty string; a connection is abandoned soon after the time."""
        return _CHECKS[self.kind](self.alias, within_seconds)


def parse_word(text: str) -> str:
    """Check a word of the command line, which is a kind of target or an alias."""
    known = [*_CHECKS, *_all_aliases()]
    if text in known:
        return text
    hint = suggestion(text, known) or choose_from(dict.fromkeys(known))
    raise ArgumentTypeError(f'"{text}" is neither a kind of target nor an alias; {hint}')


def parse_targets(words: Iterable[str]) -> list[Target]:
    """Parse ``database replica cache`` into the database "replica" and the cache "default"."""
    # A kind always starts a new target, so an alias named like a kind cannot be waited for.
    groups: list[tuple[str, list[str]]] = []
    for text in words:
        if text in _CHECKS:
            groups.append((text, []))
        elif not groups:
            raise CommandError(f'"{text}" must follow one of {", ".join(_CHECKS)}')
        else:
            groups[-1][1].append(text)
    targets = [_checked(kind, alias) for kind, aliases in groups for alias in aliases or [DEFAULT_DB_ALIAS]]
    return list(dict.fromkeys(targets))


def _checked(kind: str, alias: str) -> Target:
    known = list(caches.settings if kind == "cache" else connections)
    if alias not in known:
        setting = "CACHES" if kind == "cache" else "DATABASES"
        raise CommandError(f'{setting} has no alias "{alias}"; {choose_from(known)}')
    return Target(kind=kind, alias=alias)


def _all_aliases() -> list[str]:
    return [*connections, *caches.settings]


def _database(alias: str, within_seconds: float) -> str:
    # A separate connection: that of the process may be in a transaction and has its own timeout.
    connection = connections[alias].copy()
    options = connection.settings_dict["OPTIONS"]
    options.pop("pool", None)
    if connection.vendor in {"postgresql", "mysql"}:
        options["connect_timeout"] = max(1, min(_CONNECT_SECONDS, math.ceil(within_seconds)))
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1" + connection.features.bare_select_suffix)
    except Error as error:
        return _first_line(error)
    finally:
        # Not through SQLite's override, which keeps the connection to an in-memory database open.
        BaseDatabaseWrapper.close(connection)
    return ""


def _migrations(alias: str, within_seconds: float) -> str:
    if problem := _database(alias, within_seconds):
        return problem
    connection = connections[alias]
    try:
        executor = MigrationExecutor(connection)
        plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except Error as error:
        if not connection.in_atomic_block:
            connection.close()
        return _first_line(error)
    names = [f"{migration.app_label}.{migration.name}" for migration, _ in plan]
    if len(names) > _SHOWN_COUNT:
        names[_SHOWN_COUNT:] = [f"{len(names) - _SHOWN_COUNT} more"]
    return f"unapplied: {', '.join(names)}" if names else ""


def _cache(alias: str, within_seconds: float) -> str:
    cache = caches[alias]
    if isinstance(cache, DummyCache):
        # A dummy cache stores nothing and is always available.
        return ""
    key = f"django_runbook_wait_for_{uuid.uuid4().hex}"
    try:
        cache.set(key, alias, timeout=60)
        found = cache.get(key)
        cache.delete(key)
    except Exception as error:  # noqa: BLE001 - each backend has its own exceptions, which are the answer here
        return _first_line(error)
    return "" if found == alias else "it does not return a stored value"


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "") or type(error).__name__


_CHECKS: Final = {"database": _database, "cache": _cache, "migrations": _migrations}
