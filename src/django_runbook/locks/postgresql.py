"""Holds locks as advisory locks of PostgreSQL."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar

from django_runbook.locks.base import Holder, name_bytes
from django_runbook.locks.session import Session, SessionLock

# One message, because the role may have a very short idle timeout for transactions. READ COMMITTED, because a
# serializable transaction would keep its first snapshot.
_BEGIN = """
    BEGIN ISOLATION LEVEL READ COMMITTED;
    SET LOCAL statement_timeout = 0;
    SET LOCAL lock_timeout = 0;
    SET LOCAL idle_in_transaction_session_timeout = 0
"""
# The transaction is open while the lock is held; other users see the holder only by the application name.
_SETTINGS = """
    SELECT CASE WHEN current_setting('server_version_num')::integer >= 170000
        THEN set_config('transaction_timeout', '0', true) END,
      set_config('application_name', %s, true)
"""
_OWNER = """
    FROM pg_locks AS lock JOIN pg_stat_activity AS activity USING (pid)
    WHERE lock.locktype = 'advisory' AND lock.granted AND lock.objsubid = 1
      AND lock.database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND lock.classid::bigint = %s AND lock.objid::bigint = %s
"""
_IS_USED = f"SELECT 1 {_OWNER}"
_HOLDER = f"SELECT activity.application_name {_OWNER}"
# pid and start identify our transaction: after a loss, a pooler may give us another connection.
_IDENTITY = "SELECT pg_backend_pid(), transaction_timestamp()"
_END = f"SELECT pg_terminate_backend(activity.pid) {_OWNER} AND activity.pid = %s AND activity.xact_start = %s"
_UPTIME = "SELECT extract(epoch FROM clock_timestamp() - pg_postmaster_start_time())"
_MAX_NAME_BYTES = 63
_MARK = "runbook"


class PostgreSQLLock(SessionLock):
    """Holds the lock of a name in one database.

    The lock belongs to a transaction that stays open: with a pooler that assigns each transaction to another
    connection, a session lock would be lost or never released. The transaction has no snapshot, so it does not block
    vacuum.
    """

    parameters: ClassVar[Mapping[str, object]] = MappingProxyType(
        {
            "connect_timeout": 10,
            # A firewall drops idle connections long before the system's default keepalives.
            "keepalives_idle": 60,
            "keepalives_interval": 10,
            "keepalives_count": 6,
            # A query that does not reach the server fails after these milliseconds.
            "tcp_user_timeout": 30_000,
        }
    )

    _identity: tuple[Any, ...] | None = None

    @property
    def key(self) -> int:
        """Return the number of the advisory lock."""
        digest = hashlib.sha256(name_bytes(f"django_runbook:{self.name}")).digest()
        return int.from_bytes(digest[:8], "big", signed=True)

    def _try(self, session: Session) -> bool:
        session.ask(_BEGIN)
        # Before the lock, so that other processes always find its holder.
        session.ask(_SETTINGS, [_as_name(Holder.here(what=self._what))])
        if session.ask("SELECT pg_try_advisory_xact_lock(%s)", [self.key]) != (True,):
            return False
        self._identity = session.ask(_IDENTITY)
        return True

    def _find_holder(self, session: Session) -> Holder | None:
        row = session.ask(_HOLDER, self._halves)
        return None if row is None else _of_name(row[0])

    def _is_used(self, session: Session) -> bool:
        session.ask(_BEGIN)
        return session.ask(_IS_USED, self._halves) is not None

    def _is_ours(self, session: Session) -> bool:
        return session.ask(_IDENTITY) == self._identity

    def _free(self, session: Session) -> None:
        session.rollback()

    def _ends_own(self, session: Session) -> bool:
        session.ask(_BEGIN)
        return session.ask(_END, [*self._halves, *(self._identity or (0, None))]) is not None

    def _uptime_seconds(self, session: Session) -> float:
        (seconds,) = session.ask(_UPTIME) or (0,)
        return float(seconds)

    @property
    def _halves(self) -> list[int]:
        return [(self.key >> 32) & 0xFFFFFFFF, self.key & 0xFFFFFFFF]


def _as_name(holder: Holder) -> str:
    """Format a holder, truncated to the maximum: ``runbook 4711 2026-01-31T02:00:00Z web-1 import_flights``."""
    text = f"{_MARK} {holder.pid} {holder.since} {holder.host} {holder.what}".rstrip()
    # The server replaces other characters with one or more question marks.
    return "".join(c if " " <= c <= "~" else "?" for c in text)[:_MAX_NAME_BYTES]


def _of_name(name: str | None) -> Holder:
    mark, pid, since, host, what = [*str(name or "").split(" ", 4), *[""] * 4][:5]
    if mark != _MARK or not pid.isdigit():
        return Holder()
    return Holder(pid=int(pid), since=since, host=host, what=what)
