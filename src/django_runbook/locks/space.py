"""The settings of a project to what makes the names of its locks differ from those of other projects."""

from __future__ import annotations

import os
import sys

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, connections


def on_this_host() -> str:
    """What the locks guard is the data: the default database, and where it is."""
    database = connections.settings[DEFAULT_DB_ALIAS]
    if not _name():
        module = sys.modules.get(os.environ.get("DJANGO_SETTINGS_MODULE", ""))
        return str(getattr(module, "__file__", None) or settings.SECRET_KEY)
    return "|".join(str(database.get(part) or "") for part in ("ENGINE", "HOST", "PORT", "NAME"))


def on_any_host() -> str:
    """The same without the way to it: hosts reach one database by different addresses and ports."""
    return _name()


def _name() -> str:
    name = str(connections.settings[DEFAULT_DB_ALIAS].get("NAME") or "")
    # Nobody shares a database in memory; that of a test has a name of its own.
    return "" if name.startswith(":memory:") or "mode=memory" in name else name
