"""Writes the state of its process and of its database session as JSON."""

from __future__ import annotations

import gc
import json
import locale
import logging
import os
import signal
import socket
import sys
import time
import warnings
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db import connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils import timezone, translation
from django.utils.functional import cached_property

# What differs from one connection, or one moment, to the next.
CHANGING = {"timestamp", "pseudo_thread_id", "rand_seed1", "rand_seed2", "last_insert_id", "identity", "insert_id"}


class Command(BaseCommand):
    help = "Write the state of the process and of the session."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file")

    def handle(self, *args: Any, **options: Any) -> None:
        # First, so that nothing that this command does is part of it.
        state = {"process": process(), "session": session(), "object": shown(connections["default"])}
        Path(options["file"]).write_text(json.dumps(state, sort_keys=True))


def process() -> dict[str, Any]:
    umask = os.umask(0)
    os.umask(umask)
    root = logging.getLogger()
    ours = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    return {
        "signals": {str(n): str(signal.getsignal(n)) for n in signal.valid_signals() if n not in ours},
        # A run listens to these three.
        "stop signals are ignored": [n.name for n in ours if signal.getsignal(n) is signal.SIG_IGN],
        "timer": signal.getitimer(signal.ITIMER_REAL)[0] > 0,
        "environ": {name: value for name, value in os.environ.items() if name in {"LEFT_BEHIND", "TZ", "HOME", "PATH"}},
        "zone": time.tzname,
        "umask": umask,
        "directory": str(Path.cwd()),
        "locale": locale.setlocale(locale.LC_ALL),
        "handlers": [type(handler).__name__ for handler in root.handlers],
        "level": root.level,
        "other handlers": len(logging.getLogger("left.behind").handlers),
        "disabled": root.manager.disable,
        "filters": [str(one) for one in warnings.filters],
        "socket timeout": socket.getdefaulttimeout(),
        "recursion": sys.getrecursionlimit(),
        "path": sys.path[:1],
        "collector": gc.isenabled(),
        "language": translation.get_language(),
        "time zone": timezone.get_current_timezone_name(),
    }


def session() -> dict[str, Any]:
    with connection.cursor() as cursor:
        match connection.vendor:
            case "sqlite":
                names = ("foreign_keys", "cache_size", "database_list", "synchronous")
                found = {name: rows(cursor, f"PRAGMA {name}") for name in names}
                found["like"] = rows(cursor, "SELECT 'a' LIKE 'A'")
                found["temporary"] = rows(cursor, "SELECT name FROM sqlite_temp_master")
            case "postgresql":
                found = {row[0]: row[1] for row in rows(cursor, "SHOW ALL")}
                found["user"] = rows(cursor, "SELECT current_user")
                found["prepared"] = rows(cursor, "SELECT name FROM pg_prepared_statements WHERE from_sql")
                found["channels"] = rows(cursor, "SELECT * FROM pg_listening_channels()")
                found["locks"] = rows(
                    cursor, "SELECT objid FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()"
                )
                found["temporary"] = rows(
                    cursor, "SELECT relname FROM pg_class WHERE relnamespace = pg_my_temp_schema()"
                )
            case _:
                found = {row[0]: row[1] for row in rows(cursor, "SHOW SESSION VARIABLES") if row[0] not in CHANGING}
                found["variable"] = rows(cursor, "SELECT @left_behind")
                found["lock"] = rows(cursor, "SELECT IS_USED_LOCK('left behind')")
                found["temporary"] = rows(
                    cursor, "SELECT count(*) FROM information_schema.innodb_sys_tables WHERE name LIKE '%left_behind'"
                )
    return found


def rows(cursor: Any, statement: str) -> list[Any]:
    cursor.execute(statement)
    return [list(map(str, row)) for row in cursor.fetchall()]


def shown(connection: BaseDatabaseWrapper) -> dict[str, str]:
    plain = (str, int, float, bool, type(None), list)
    left_out = ("close_at", "_thread_ident")
    # Answers that are kept once somebody has asked, which a thread of a pool may be the first to do.
    kept = [name for name in dir(type(connection)) if isinstance(getattr(type(connection), name), cached_property)]
    found = {name: value for name, value in vars(connection).items() if name not in (*left_out, *kept)}
    found |= {"timezone": str(connection.timezone), "timezone_name": connection.timezone_name}
    # A step counts its rows by a wrapper that comes and goes with it.
    counter = "django_runbook.row_counting"
    found["execute_wrappers"] = [
        one for one in connection.execute_wrappers if not type(one).__module__.startswith(counter)
    ]
    return {name: str(value) for name, value in found.items() if isinstance(value, plain)}
