"""The setting ``RUNBOOK["LOCK"]`` to a function from the name of a lock to the lock."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from django.db import DEFAULT_DB_ALIAS
from django.utils.module_loading import import_string

from django_runbook.conf import Configuration
from django_runbook.document.diagnostics import nearest
from django_runbook.exceptions import InvalidUsage
from django_runbook.locks.base import Lock

# Short names; any other backend is an import path: of what is called with ``what`` and the options, and returns a
# function from a name to a lock.
BACKENDS = {
    "file": "django_runbook.locks.file.FileLocks",
    "database": "django_runbook.locks.database.DatabaseLocks",
    "redis": "django_runbook.locks.redis.RedisLocks",
}


def new_factory(configuration: Configuration, *, what: str) -> Callable[[str], Lock]:
    """A function from the name of a lock to the lock; ``what`` tells others what holds it.

    Raises InvalidUsage where the settings cannot work; nothing is connected to before the first lock is taken.
    """
    name, options = configuration.lock.backend, configuration.lock.options
    if name == "auto" and options:
        raise InvalidUsage('RUNBOOK["LOCK"]: "auto" has no OPTIONS; name the backend that they are for')
    backend = _load(_chosen() if name == "auto" else name)
    try:
        inspect.signature(backend).bind(what=what, **options)
    except TypeError as error:
        raise InvalidUsage(f'RUNBOOK["LOCK"]: the OPTIONS do not fit "{name}": {error}') from error
    new_lock: Callable[[str], Lock] = backend(what=what, **options)
    return new_lock


def _chosen() -> str:
    """The database's locks where it has some: only they are seen by other hosts without more to set up."""
    from django_runbook.locks.database import is_supported

    return "database" if is_supported(DEFAULT_DB_ALIAS) else "file"


def _load(name: str) -> Callable[..., Any]:
    if "." not in name and name not in BACKENDS:
        names = ("auto", *BACKENDS)
        near = nearest(name, names)
        hint = f'"{near}" is near' if near else f"there are: {', '.join(names)}, and import paths"
        raise InvalidUsage(f'RUNBOOK["LOCK"]: there is no backend "{name}"; {hint}')
    try:
        backend: Callable[..., Any] = import_string(BACKENDS.get(name, name))
    except ImportError as error:
        raise InvalidUsage(f'RUNBOOK["LOCK"]: the backend "{name}" cannot be imported: {error}') from error
    if not callable(backend):
        raise InvalidUsage(f'RUNBOOK["LOCK"]: "{name}" is no backend: it cannot be called')
    return backend
