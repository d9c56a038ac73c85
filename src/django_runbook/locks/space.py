"""Tell the locks of one project apart from those of others, by its settings."""

from __future__ import annotations

import os
import sys

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, connections


def on_this_host() -> str:
    """Return the default database and where it is: the locks guard the data."""
    database = connections.settings[DEFAULT_DB_ALIAS]
    name = _name()
    if not name:
        module = sys.modules.get(os.environ.get("DJANGO_SETTINGS_MODULE", ""))
        return str(getattr(module, "__file__", None) or settings.SECRET_KEY)
    if connections[DEFAULT_DB_ALIAS].vendor == "sqlite" and not name.startswith("file:"):
        # One file has many names: by way of a link to the present release, or from another working directory.
        name = os.path.realpath(name)
    return "|".join((*(str(database.get(part) or "") for part in ("ENGINE", "HOST", "PORT")), name))


def on_any_host() -> str:
    """Return the same without the way to it: hosts reach one database by different addresses and ports."""
    return _name()


def _name() -> str:
    name = str(connections.settings[DEFAULT_DB_ALIAS].get("NAME") or "")
    # Nobody shares a database in memory; that of a test has a name of its own.
    return "" if name.startswith(":memory:") or "mode=memory" in name else name
