"""Tell the locks of one project apart from those of others, by its settings."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, connections


def host_namespace() -> str:
    """Return the default database and where it is: the locks guard the data."""
    database = connections.settings[DEFAULT_DB_ALIAS]
    name = _name()
    if not name:
        module = sys.modules.get(os.environ.get("DJANGO_SETTINGS_MODULE", ""))
        return str(getattr(module, "__file__", None) or settings.SECRET_KEY)
    # One file has many names: by way of a link to the present release, or from another working directory.
    name = str(database_file() or name)
    return "|".join((*(str(database.get(part) or "") for part in ("ENGINE", "HOST", "PORT")), name))


def database_file() -> Path | None:
    """Return the file of the default database, by its real path; None if it is not a file."""
    name = _name()
    if not name or connections[DEFAULT_DB_ALIAS].vendor != "sqlite":
        return None
    if name.startswith("file:"):
        name = unquote(urlsplit(name).path)
    return Path(os.path.realpath(name)) if name else None


def shared_namespace() -> str:
    """Return the same without the way to it: hosts reach one database by different addresses and ports."""
    return _name()


def _name() -> str:
    name = str(connections.settings[DEFAULT_DB_ALIAS].get("NAME") or "")
    # Nobody shares a database in memory; that of a test has a name of its own.
    return "" if name.startswith(":memory:") or "mode=memory" in name else name
