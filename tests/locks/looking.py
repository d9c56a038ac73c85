"""Inspects locks in PostgreSQL."""

from __future__ import annotations

from typing import Any

import psycopg

from django_runbook.locks.postgresql import PostgreSQLLock
from tests.patience import wait_until

_PID = """
    SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted
    AND ((classid::bigint << 32) | objid::bigint) = %s
"""


def key_of(name: str) -> int:
    """Return the number of the lock of this name."""
    return PostgreSQLLock(name, alias="default").key


def pid_of(server: psycopg.Connection[Any], name: str) -> int | None:
    """Return the server process that holds a lock."""
    row = server.execute(_PID, [key_of(name)]).fetchone()
    return None if row is None else int(row[0])


def end_holder(server: psycopg.Connection[Any], name: str) -> None:
    """End the connection that holds a lock; its client can hear of that before the server has released the lock."""
    server.execute("SELECT pg_terminate_backend(%s)", [pid_of(server, name)])
    wait_until(lambda: pid_of(server, name) is None, what="the server has released the lock")
