"""The named lock of MySQL and MariaDB: what takes it away, what does not, and what its names say."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pymysql
import pytest

from django_runbook.exceptions import LockUnavailable
from django_runbook.locks.base import Lock
from django_runbook.locks.mysql import MySQLLock
from django_runbook.locks.session import Session
from tests.locks.backends import alias_on, eventually, holder_of, is_free, locks
from tests.services import require_mariadb


@pytest.fixture
def lock(name: str) -> Iterator[MySQLLock]:
    with alias_on("mariadb") as alias:
        lock = MySQLLock(name, alias=alias)
        yield lock
        lock.release()


def ask(statement: str, *values: object) -> Any:
    from tests.mariadb_settings import MARIADB

    require_mariadb()
    connection = pymysql.connect(
        host=MARIADB["HOST"], port=int(MARIADB["PORT"]), user=MARIADB["USER"], password=MARIADB["PASSWORD"]
    )
    with connection, connection.cursor() as cursor:
        cursor.execute(statement, values)
        row = cursor.fetchone()
        return row and row[0]


def test_a_connection_that_is_killed_has_lost_the_lock(lock: MySQLLock, name: str) -> None:
    assert lock.acquire() is None
    ask(f"KILL {ask('SELECT IS_USED_LOCK(%s)', lock.key)}")
    assert eventually(lambda: not lock.is_held())
    with alias_on("mariadb") as alias:
        assert is_free(locks("database", alias=alias)(name))
    lock.release()
    assert lock.acquire() is None
    assert lock.is_held()


def test_a_lock_that_its_own_connection_gave_back_is_lost(lock: MySQLLock) -> None:
    sessions: list[Session] = []

    class Known(Session):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            sessions.append(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("django_runbook.locks.session.Session", Known)
        assert lock.acquire() is None
    assert lock.is_held()
    sessions[0].ask("SELECT RELEASE_ALL_LOCKS()")
    assert not lock.is_held()


def test_a_limit_for_silent_connections_does_not_touch_the_lock(name: str) -> None:
    with alias_on("mariadb", OPTIONS={"init_command": "SET SESSION wait_timeout = 1"}) as alias:
        lock = locks("database", alias=alias)(name)
        assert lock.acquire() is None
        time.sleep(1.5)
        assert lock.is_held()
        lock.release()


def test_databases_of_one_server_have_locks_of_their_own(lock: Lock, name: str) -> None:
    assert lock.acquire() is None
    with alias_on("mariadb", NAME="mysql") as alias:
        assert is_free(locks("database", alias=alias)(name))
    with alias_on("mariadb") as alias:
        assert holder_of(locks("database", alias=alias)(name)).host


def test_no_name_of_a_lock_is_longer_than_the_server_allows(lock: MySQLLock) -> None:
    assert lock.acquire() is None
    longest_id = 2**64 - 1
    assert max(len(name) for name in lock.bit_names(longest_id)) == 64


def test_nothing_is_left_on_the_server(lock: MySQLLock) -> None:
    assert lock.acquire() is None
    connection_id = ask("SELECT IS_USED_LOCK(%s)", lock.key)
    names = [lock.key, *lock.bit_names(connection_id)]
    count = f"SELECT {' + '.join(['(IS_USED_LOCK(%s) IS NOT NULL)'] * len(names))}"
    assert ask(count, *names) > 1
    lock.release()
    assert ask(count, *names) == 0


@pytest.mark.parametrize("refused", ["GET_LOCK(%s, 0), ", "SELECT GET_LOCK(%s, 0)"], ids=["the holder", "the lock"])
def test_a_server_that_cannot_say_is_not_a_free_lock(
    lock: MySQLLock, refused: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask_server = Session.ask

    def answer(session: Session, statement: str, values: Any = ()) -> tuple[Any, ...] | None:
        is_refused = statement == refused or (refused.endswith(", ") and refused in statement)
        return (None,) * len(values) if is_refused else ask_server(session, statement, values)

    monkeypatch.setattr(Session, "ask", answer)
    with pytest.raises(LockUnavailable, match=r"does not give locks|cannot say whether"):
        lock.acquire()
    assert not lock.is_held()
