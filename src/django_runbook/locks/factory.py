"""Makes the locks of the backend in ``RUNBOOK["LOCK"]``."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Final

from django.core import checks
from django.db import DEFAULT_DB_ALIAS

from django_runbook.backend_loading import make_backend
from django_runbook.conf import Configuration
from django_runbook.exceptions import InvalidUsage
from django_runbook.locks.base import BasicLock, Lock, complete, missing_methods

# Short names. Any other backend is the import path of a callable, which receives ``what`` and the options, and returns
# a function from a name to a lock.
BACKENDS = {
    "file": "django_runbook.locks.file.FileLocks",
    "database": "django_runbook.locks.database.DatabaseLocks",
    "redis": "django_runbook.locks.redis.RedisLocks",
}
_SECRET: Final = re.compile("secret|pass|token|key|auth|credential|signature", re.IGNORECASE)
_USER_OF_URL: Final = re.compile(r"//[^/@\s]*@")


class Locks:
    """Makes locks by their names, with a built-in backend or that of the project."""

    def __init__(self, backend: Callable[[str], BasicLock], *, name: str, options: Mapping[str, object]) -> None:
        self._backend = backend
        self._name = name
        self._options = options

    def __call__(self, name: str) -> Lock:
        return complete(self._backend(name))

    @cached_property
    def identity(self) -> str:
        """Identify the lock store: a lock that is free in one store may be held in another.

        A backend may define its own ``identity``. The default is its import path with a digest of the options, except
        secrets, which may change while the store stays the same.
        """
        own = getattr(self._backend, "identity", None)
        return own if isinstance(own, str) else f"{self._name} {_digest(self._options)}"

    def check(self) -> Sequence[checks.CheckMessage]:
        """Check the settings and methods of these locks, without connecting to the store."""
        # A backend may have checks of its own.
        check = getattr(self._backend, "check", None)
        found = list(check()) if callable(check) else []
        if any(message.is_serious() for message in found):
            return found
        missing = missing_methods(self._backend("manage.py check"))
        if missing:
            message = (
                f'The locks of the backend "{self._name}" have no {" and no ".join(f"{name}()" for name in missing)}: '
                "a run whose process has died cannot be detected, and a lost lock is not acquired again."
            )
            hint = "Add the methods that django_runbook.locks.base.Lock describes."
            found.append(checks.Warning(message, hint=hint, id="django_runbook.W003"))
        return found


def new_factory(configuration: Configuration, *, what: str) -> Locks:
    """Return the factory of locks; ``what`` describes the holder to other processes.

    Raise InvalidUsage if the settings are invalid. The store is not connected to before a lock is acquired.
    """
    name, options = configuration.lock.backend, configuration.lock.options
    if name == "auto" and options:
        raise InvalidUsage('RUNBOOK["LOCK"]: "auto" has no OPTIONS; name the backend that they are for')
    backend = make_backend(
        _chosen() if name == "auto" else name,
        setting='RUNBOOK["LOCK"]',
        kind="backend",
        known=BACKENDS,
        options=options,
        what=what,
    )
    return Locks(backend, name=name, options=options)


def _chosen() -> str:
    """Choose locks in the database if it supports them: other hosts see them without further settings."""
    from django_runbook.locks.database import is_supported

    return "database" if is_supported(DEFAULT_DB_ALIAS) else "file"


def _digest(options: Mapping[str, object]) -> str:
    text = json.dumps(without_secrets(options), sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def without_secrets(value: object) -> object:
    """Return options, or the location of a server, without what may change while the lock store stays the same.

    The names of options decide what is a secret; a URL loses its user and its password.
    """
    if isinstance(value, Mapping):
        return {str(name): without_secrets(one) for name, one in value.items() if not _SECRET.search(str(name))}
    if isinstance(value, list | tuple):
        return [without_secrets(one) for one in value]
    return _USER_OF_URL.sub("//", value) if isinstance(value, str) else value
