"""Derives a namespace that separates the locks of this project from those of others."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, connections


def host_namespace() -> str:
    """Return the default database with its address, because the locks protect its data."""
    database = connections.settings[DEFAULT_DB_ALIAS]
    name = _name()
    if not name:
        module = sys.modules.get(os.environ.get("DJANGO_SETTINGS_MODULE", ""))
        return str(getattr(module, "__file__", None) or settings.SECRET_KEY)
    # One file has many paths, for example through a link to the current release, or relative to a directory.
    name = str(database_file() or name)
    return "|".join((*(str(database.get(part) or "") for part in ("ENGINE", "HOST", "PORT")), name))


def database_file() -> Path | None:
    """Return the real path of the default database; None if it is not a file."""
    name = _name()
    if not name or connections[DEFAULT_DB_ALIAS].vendor != "sqlite":
        return None
    if name.startswith("file:"):
        name = unquote(urlsplit(name).path)
    return Path(os.path.realpath(name)) if name else None


def shared_namespace() -> str:
    """Return the default database without its address, which differs between hosts."""
    return _name()


def _name() -> str:
    name = str(connections.settings[DEFAULT_DB_ALIAS].get("NAME") or "")
    # A database in memory is not shared; that of a test has its own name.
    return "" if name.startswith(":memory:") or "mode=memory" in name else name
