"""Holds locks as named locks of MySQL or MariaDB."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import ClassVar

from django_runbook.exceptions import LockUnavailable
from django_runbook.locks.base import Holder, name_bytes, since_text
from django_runbook.locks.session import Session, SessionLock

_PID_BITS = 22  # the maximum of Linux
_TIME_BITS = 33
# A year, which is the maximum: by default, the server closes idle connections after 8 hours.
_PATIENCE = "SET SESSION wait_timeout = 31536000"


class MySQLLock(SessionLock):
    """Holds the lock of a name in one database of a server.

    Without a table or a privilege, a connection can publish only names of locks. The process id and the time of the
    holder are therefore encoded as locks: for each bit that is set, the connection holds one more lock, named after
    the numbers of the connection and of the bit.
    """

    # A query that does not reach the server fails after these seconds; no query takes longer.
    parameters: ClassVar[Mapping[str, object]] = MappingProxyType(
        {"connect_timeout": 10, "read_timeout": 30, "write_timeout": 30}
    )

    key = ""
    # The connection that holds the lock, and its process id and time as one number.
    _own = (0, 0)

    def _try(self, session: Session) -> bool:
        session.ask(_PATIENCE)
        connection_id = self._name_key(session)
        number = int(time.time()) << _PID_BITS | os.getpid()
        bits = [name for bit, name in enumerate(self.bit_names(connection_id)) if number >> bit & 1]
        # Before the lock itself, so that other processes always find its holder.
        row = session.ask(f"SELECT {', '.join(['GET_LOCK(%s, 0)'] * len(bits))}", bits)
        if row != (1,) * len(bits):
            raise LockUnavailable(f'the database "{self._alias}" does not grant locks')
        (taken,) = session.ask("SELECT GET_LOCK(%s, 0)", [self.key]) or (None,)
        if taken is None:
            raise LockUnavailable(f'the database "{self._alias}" does not report whether "{self.name}" is locked')
        if taken:
            self._own = (int(connection_id), number)
        return bool(taken)

    def _find_holder(self, session: Session) -> Holder | None:
        connection_id, number = self._find_owner(session)
        if not number:
            return None
        return Holder(
            pid=number & (1 << _PID_BITS) - 1, since=since_text(number >> _PID_BITS), host=_host(session, connection_id)
        )

    def _find_owner(self, session: Session) -> tuple[int, int]:
        """Return the connection that holds the lock, and its encoded number; zeros if the lock is free."""
        self._name_key(session)
        (connection_id,) = session.ask("SELECT IS_USED_LOCK(%s)", [self.key]) or (None,)
        if connection_id is None:
            return 0, 0
        names = list(self.bit_names(connection_id))
        found = session.ask(f"SELECT {', '.join(['IS_USED_LOCK(%s)'] * len(names))}", names) or ()
        return int(connection_id), sum(1 << bit for bit, owner in enumerate(found) if owner == connection_id)

    def _name_key(self, session: Session) -> int:
        """Set the key, which contains the database because locks are server-wide; return our connection."""
        database, connection_id = session.ask("SELECT DATABASE(), CONNECTION_ID()") or ("", 0)
        self.key = "runbook-" + hashlib.sha256(name_bytes(f"{database}:{self.name}")).hexdigest()[:32]
        return int(connection_id)

    def _is_used(self, session: Session) -> bool:
        self._name_key(session)
        return session.ask("SELECT IS_USED_LOCK(%s) IS NOT NULL", [self.key]) == (1,)

    def _is_ours(self, session: Session) -> bool:
        return session.ask("SELECT IS_USED_LOCK(%s) = CONNECTION_ID()", [self.key]) == (1,)

    def _free(self, session: Session) -> None:
        session.ask("SELECT RELEASE_ALL_LOCKS()")

    def _ends_own(self, session: Session) -> bool:
        connection_id, number = self._find_owner(session)
        # After a restart of the server, another connection may have our number.
        if (connection_id, number) != self._own:
            return False
        session.ask(f"KILL {connection_id}")
        return True

    def _uptime_seconds(self, session: Session) -> float:
        row = session.ask("SHOW GLOBAL STATUS LIKE 'Uptime'") or ("", 0)
        return float(row[1])

    def bit_names(self, connection_id: int) -> Iterator[str]:
        """Yield the names of the locks that encode the holder with this connection, lowest bit first."""
        return (f"{self.key}-{connection_id}-{bit}" for bit in range(_PID_BITS + _TIME_BITS))


def _host(session: Session, connection_id: int) -> str:
    """Return the host of a connection; those of other users are visible to privileged users only."""
    row = session.ask("SELECT HOST FROM information_schema.processlist WHERE ID = %s", [connection_id])
    return str(row[0]).rpartition(":")[0] or str(row[0]) if row else ""
