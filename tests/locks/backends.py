"""Configures each lock backend on the services of the tests, for this process and for others."""

from __future__ import annotations

import math
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from django.test import override_settings

from django_runbook.conf import Configuration, LockBackend
from django_runbook.locks.base import Holder, Lock
from django_runbook.locks.factory import Locks, new_factory
from tests.cache_settings import CACHES
from tests.patience import scaled
from tests.postgres_settings import POSTGRES
from tests.services import REDIS_URL, alias_added, require_mariadb, require_postgres, require_redis

# Long enough for a slow machine to renew at a third of this time; a cache counts whole seconds.
EXPIRY_SECONDS = math.ceil(scaled(2.0))


@dataclass(frozen=True, kw_only=True)
class Definition:
    """Defines how the tests use a backend.

    ``options`` are made from a folder of the test. ``module`` has the settings of other processes. ``set_up`` configures
    this process and yields the options that only this process needs; it skips the test if the service is missing.
    ``is_expiring`` means that the lock of a process that was killed stays until it expires.
    """

    backend: str
    options: Callable[[Path], dict[str, Any]] = lambda _: {}
    set_up: Callable[[], AbstractContextManager[dict[str, Any]]] = lambda: nullcontext({})
    module: str = "tests.settings"
    is_expiring: bool = False


@dataclass(frozen=True, kw_only=True)
class Backend:
    """Holds a backend for this process, and ``RUNBOOK["LOCK"]`` for processes with the settings ``module``."""

    name: str
    here: LockBackend
    setting: dict[str, Any]
    module: str
    is_expiring: bool

    def lock(self, name: str) -> Lock:
        return locks(self.here.backend, **self.here.options)(name)


def locks(backend: str, **options: object) -> Locks:
    """Return the locks of a backend with these options."""
    configuration = Configuration(lock=LockBackend(backend=backend, options=options))
    return new_factory(configuration, what="a test")


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
    with alias_added(f"t_{uuid.uuid4().hex[:12]}", database) as alias:
        yield alias


@contextmanager
def _on_database(vendor: str) -> Iterator[dict[str, Any]]:
    with alias_on(vendor) as alias:
        yield {"alias": alias}


@contextmanager
def _with_redis() -> Iterator[dict[str, Any]]:
    require_redis()
    yield {}


@contextmanager
def _with_cache() -> Iterator[dict[str, Any]]:
    require_redis()
    with override_settings(CACHES=CACHES):
        yield {}


# The rows that `test_every_backend` tries, by their names in its output.
DEFINITIONS: Final = {
    "file": Definition(backend="file", options=lambda folder: {"directory": str(folder)}),
    "postgresql": Definition(
        backend="database", set_up=lambda: _on_database("postgresql"), module="tests.postgres_settings"
    ),
    "mariadb": Definition(backend="database", set_up=lambda: _on_database("mariadb"), module="tests.mariadb_settings"),
    "redis": Definition(
        backend="redis",
        options=lambda folder: {"url": REDIS_URL, "expiry_seconds": EXPIRY_SECONDS, "prefix": f"test {folder}"},
        set_up=_with_redis,
        is_expiring=True,
    ),
    "cache": Definition(
        backend="tests.locks.cache_locks.CacheLocks",
        options=lambda _: {"expiry_seconds": EXPIRY_SECONDS},
        set_up=_with_cache,
        module="tests.cache_settings",
        is_expiring=True,
    ),
}


@contextmanager
def backend_of(name: str, folder: Path) -> Iterator[Backend]:
    """Yield the backend of this name; skip the test, or fail it in CI, if the service is missing."""
    definition = DEFINITIONS[name]
    options = definition.options(folder)
    with definition.set_up() as own:
        yield Backend(
            name=name,
            here=LockBackend(backend=definition.backend, options={**options, **own}),
            setting={"BACKEND": definition.backend, "OPTIONS": options},
            module=definition.module,
            is_expiring=definition.is_expiring,
        )


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
