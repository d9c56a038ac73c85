"""Tries the named locks of MySQL and MariaDB: their loss, and the names that encode their holder."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Any

import pymysql
import pytest

from django_runbook.exceptions import LockUnavailable
from django_runbook.locks.base import PATIENCE_SECONDS, Lock, LockState, Probe
from django_runbook.locks.mysql import MySQLLock
from django_runbook.locks.session import Session
from tests.locks.backends import alias_on, holder_of, is_free, locks
from tests.locks.retaking import MOMENTS, assert_retaken
from tests.patience import eventually, wait_until
from tests.services import require_mariadb

pytestmark = pytest.mark.slow


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
    kill(lock)
    assert not lock.is_held()
    with alias_on("mariadb") as alias:
        assert is_free(locks("database", alias=alias)(name))
    lock.release()
    assert lock.acquire() is None
    assert lock.is_held()


def kill(lock: MySQLLock) -> int:
    """End the connection that holds the lock, and return its number."""
    number = int(ask("SELECT IS_USED_LOCK(%s)", lock.key))
    ask(f"KILL {number}")
    # The client can hear of that before the server has released the lock.
    wait_until(lambda: ask("SELECT IS_USED_LOCK(%s)", lock.key) is None, what="the server has released the lock")
    return number


def test_a_connection_that_is_killed_is_replaced(lock: MySQLLock, name: str) -> None:
    assert lock.acquire() is None
    assert lock.keep() is LockState.HELD
    before = kill(lock)
    assert not lock.is_held()
    assert [lock.keep(), lock.keep()] == [LockState.RETAKEN, LockState.HELD]
    assert ask("SELECT IS_USED_LOCK(%s)", lock.key) not in {None, before}
    with alias_on("mariadb") as alias:
        assert holder_of(locks("database", alias=alias)(name)).pid == os.getpid()
    lock.release()
    assert ask("SELECT IS_USED_LOCK(%s)", lock.key) is None


def owner_of(lock: MySQLLock) -> Any:
    """Return the number of the connection that holds the lock."""
    return ask("SELECT IS_USED_LOCK(%s)", lock.key)


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_connection_whose_end_the_server_notices_at_any_moment_is_replaced(
    lock: MySQLLock, monkeypatch: pytest.MonkeyPatch, moment: str | None
) -> None:
    assert_retaken(lock, moment, owner=lambda: owner_of(lock), end=lambda: kill(lock), monkeypatch=monkeypatch)


def test_a_lock_that_another_process_holds_now_is_lost(lock: MySQLLock, name: str) -> None:
    assert lock.acquire() is None
    kill(lock)
    with alias_on("mariadb") as alias:
        other = locks("database", alias=alias)(name)
        assert other.acquire() is None
        assert lock.keep() is LockState.LOST
        other.release()
        assert lock.keep() is LockState.LOST
    lock.release()
    assert lock.acquire() is None
    assert lock.keep() is LockState.HELD


def test_a_connection_that_only_the_client_knows_to_be_broken_is_ended(
    lock: MySQLLock, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken: list[Session] = []
    ask_server, close = Session.ask, Session.close

    def lose(session: Session, *args: Any) -> Any:
        if session in broken:
            raise LockUnavailable("Lost connection to MySQL server during query")
        return ask_server(session, *args)

    assert lock.acquire() is None
    before = ask("SELECT IS_USED_LOCK(%s)", lock.key)
    broken.append(vars(lock)["_session"])
    monkeypatch.setattr(Session, "ask", lose)
    monkeypatch.setattr(Session, "close", lambda session: None if session in broken else close(session))
    assert lock.keep() is LockState.UNKNOWN
    assert eventually(lambda: lock.keep() is LockState.RETAKEN)
    assert ask("SELECT IS_USED_LOCK(%s)", lock.key) not in {None, before}
    close(broken[0])


def test_a_lock_is_lost_after_an_outage_of_more_than_a_minute(lock: MySQLLock, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object) -> None:
        raise LockUnavailable("Can't connect to MySQL server")

    assert lock.acquire() is None
    clock = time.monotonic
    kill(lock)
    monkeypatch.setattr(Session, "__init__", refuse)
    assert eventually(lambda: lock.keep() is LockState.UNKNOWN)
    monkeypatch.setattr(time, "monotonic", lambda: clock() + PATIENCE_SECONDS + 5)
    assert lock.keep() is LockState.LOST


def test_a_free_lock_proves_that_its_holder_is_dead_unless_the_server_was_just_started(
    lock: MySQLLock, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert lock.probe() is Probe.FREE
    assert lock.acquire() is None
    with alias_on("mariadb") as alias:
        probe = locks("database", alias=alias)(name).probe
        assert [lock.probe(), probe()] == [Probe.HELD] * 2
        lock.discard()
        assert probe() is Probe.FREE
    monkeypatch.setattr(MySQLLock, "_uptime_seconds", lambda lock, session: PATIENCE_SECONDS - 1)
    assert lock.probe() is Probe.UNKNOWN


def test_a_lock_that_its_own_connection_released_is_lost(lock: MySQLLock) -> None:
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


@pytest.mark.parametrize(
    "limit",
    [
        "wait_timeout = 1",
        "idle_transaction_timeout = 1",
        "idle_readonly_transaction_timeout = 1",
        "max_statement_time = 1",
    ],
)
def test_an_idle_timeout_does_not_affect_the_lock(name: str, limit: str) -> None:
    with alias_on("mariadb", OPTIONS={"init_command": f"SET SESSION {limit}"}) as alias:
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
def test_a_server_without_an_answer_is_not_a_free_lock(
    lock: MySQLLock, refused: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask_server = Session.ask

    def answer(session: Session, statement: str, values: Any = ()) -> tuple[Any, ...] | None:
        is_refused = statement == refused or (refused.endswith(", ") and refused in statement)
        return (None,) * len(values) if is_refused else ask_server(session, statement, values)

    monkeypatch.setattr(Session, "ask", answer)
    with pytest.raises(LockUnavailable, match=r"does not grant locks|does not report whether"):
        lock.acquire()
    assert not lock.is_held()
