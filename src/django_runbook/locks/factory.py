"""The settings of a project to its locks: two projects on a host have different ones, two releases of one the same."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, connections

from django_runbook.locks.base import Lock
from django_runbook.locks.file import FileLock, private_directory


def new_factory(*, directory: Path | None, what: str) -> Callable[[str], Lock]:
    """A function from the name of a lock to the lock; ``what`` tells others what holds it."""
    # Only with the first lock: a run that takes none needs no folder.
    found = cache(lambda: private_directory(directory))
    space = _space()
    return lambda name: FileLock(name, directory=found(), space=space, what=what)


def _space() -> str:
    """What the locks guard is the data, so the default database is what makes names of two projects differ."""
    database = connections.settings[DEFAULT_DB_ALIAS]
    name = str(database.get("NAME") or "")
    # Nobody shares a database in memory; that of a test has a name of its own.
    if name.startswith(":memory:") or "mode=memory" in name or not name:
        module = sys.modules.get(os.environ.get("DJANGO_SETTINGS_MODULE", ""))
        return str(getattr(module, "__file__", None) or settings.SECRET_KEY)
    return "|".join(str(database.get(part) or "") for part in ("ENGINE", "HOST", "PORT", "NAME"))
