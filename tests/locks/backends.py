"""Configures each lock backend on the services of the tests, for this process and for others."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.db import connections
from django.test import override_settings

from django_runbook.conf import Configuration, LockBackend
from django_runbook.locks.base import Holder, Lock
from django_runbook.locks.factory import Locks, new_factory
from tests.cache_settings import CACHES
from tests.patience import scaled
from tests.postgres_settings import POSTGRES
from tests.services import REDIS_URL, require_mariadb, require_postgres, require_redis

NAMES = ("file", "postgresql", "mariadb", "redis", "cache")
# The locks of these backends expire.
EXPIRING = {"redis", "cache"}
# Long enough for a slow machine to renew at a third of this time.
EXPIRY_SECONDS = scaled(2.0)


@dataclass(frozen=True, kw_only=True)
class Backend:
    """Holds a backend for this process, and ``RUNBOOK["LOCK"]`` for processes with the settings ``module``."""

    name: str
    here: LockBackend
    setting: dict[str, Any]
    module: str = "tests.settings"

    def lock(self, name: str) -> Lock:
        return locks(self.here.backend, **self.here.options)(name)


def locks(backend: str, **options: object) -> Locks:
    """Return the locks of a backend with these options."""
    configuration = Configuration(lock=LockBackend(backend=backend, options=options))
    return new_factory(configuration, what="a test")


@contextmanager
def backend_of(name: str, directory: Path) -> Iterator[Backend]:
    """Yield the backend of this name; skip the test, or fail it in CI, if the service is missing."""
    options: dict[str, Any]
    if name in {"postgresql", "mariadb"}:
        setting: dict[str, Any] = {"BACKEND": "database", "OPTIONS": {}}
        with alias_on(name) as alias:
            here = LockBackend(backend="database", options={"alias": alias})
            yield Backend(name=name, here=here, setting=setting, module=f"tests.{_SETTINGS[name]}")
        return
    if name == "cache":
        require_redis()
        path = "tests.locks.cache_locks.CacheLocks"
        options = {"expiry_seconds": EXPIRY_SECONDS}
        here = LockBackend(backend=path, options=options)
        with override_settings(CACHES=CACHES):
            setting = {"BACKEND": path, "OPTIONS": options}
            yield Backend(name=name, here=here, setting=setting, module="tests.cache_settings")
        return
    options = {"directory": str(directory)}
    if name == "redis":
        require_redis()
        options = {"url": REDIS_URL, "expiry_seconds": EXPIRY_SECONDS, "prefix": f"test {directory}"}
    setting = {"BACKEND": name, "OPTIONS": options}
    yield Backend(name=name, here=LockBackend(backend=name, options=options), setting=setting)


_SETTINGS = {"postgresql": "postgres_settings", "mariadb": "mariadb_settings"}


@contextmanager
def alias_on(vendor: str, **changes: Any) -> Iterator[str]:
    """Add an alias to DATABASES for one test, on PostgreSQL or MariaDB."""
    if vendor == "postgresql":
        require_postgres()
        database = {**POSTGRES, **changes}
    else:
        require_mariadb()
        from tests.mariadb_settings import MARIADB

        database = {**MARIADB, **changes}
    alias = f"t_{uuid.uuid4().hex[:12]}"
    connections.settings[alias] = database
    connections.configure_settings(connections.settings)
    try:
        yield alias
    finally:
        connections[alias].close()
        del connections[alias], connections.settings[alias]


def new_name() -> str:
    """Return the name of a lock that no other test uses."""
    return f"test {uuid.uuid4().hex[:12]}"


def is_free(lock: Lock) -> bool:
    """Return whether the lock could be acquired; release it again."""
    if lock.acquire() is not None:
        return False
    lock.release()
    return True


def holder_of(lock: Lock) -> Holder:
    """Return the holder of a lock that another process holds."""
    holder = lock.acquire()
    assert holder is not None
    return holder
