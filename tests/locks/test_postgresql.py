"""Tries the locks of PostgreSQL transactions, and their loss."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import psycopg
import pytest
from django.db import connections

from django_runbook.exceptions import LockUnavailable
from django_runbook.locks.base import PATIENCE_SECONDS, Holder, Lock, LockState, Probe
from django_runbook.locks.postgresql import PostgreSQLLock
from django_runbook.locks.session import Session, SessionLock
from tests.locks.backends import alias_on, holder_of, is_free, locks
from tests.locks.looking import end_holder, key_of, pid_of
from tests.locks.retaking import MOMENTS, assert_retaken
from tests.patience import eventually
from tests.postgres_settings import POSTGRES

pytestmark = pytest.mark.slow


@pytest.fixture
def lock(name: str) -> Iterator[Lock]:
    with alias_on("postgresql") as alias:
        lock = locks("database", alias=alias)(name)
        yield lock
        lock.release()


def test_a_connection_that_is_terminated_has_lost_the_lock(
    server: psycopg.Connection[Any], lock: Lock, name: str
) -> None:
    assert lock.acquire() is None
    end_holder(server, name)
    assert not lock.is_held()
    with alias_on("postgresql") as alias:
        assert is_free(locks("database", alias=alias)(name))
    lock.release()
    assert lock.acquire() is None
    assert lock.is_held()


def test_a_connection_that_is_terminated_is_replaced(server: psycopg.Connection[Any], lock: Lock, name: str) -> None:
    assert lock.acquire() is None
    assert lock.keep() is LockState.HELD
    before = pid_of(server, name)
    end_holder(server, name)
    assert not lock.is_held()
    assert [lock.keep(), lock.keep()] == [LockState.RETAKEN, LockState.HELD]
    assert pid_of(server, name) not in {None, before}
    with alias_on("postgresql") as alias:
        assert holder_of(locks("database", alias=alias)(name)).pid == os.getpid()
    lock.release()
    assert pid_of(server, name) is None


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_connection_whose_end_the_server_notices_at_any_moment_is_replaced(
    server: psycopg.Connection[Any], lock: SessionLock, name: str, monkeypatch: pytest.MonkeyPatch, moment: str | None
) -> None:
    owner, end = partial(pid_of, server, name), partial(end_holder, server, name)
    assert_retaken(lock, moment, owner=owner, end=end, monkeypatch=monkeypatch)


def test_a_connection_is_replaced_from_any_thread_while_others_query(
    server: psycopg.Connection[Any], lock: Lock, name: str
) -> None:
    assert lock.acquire() is None
    with ThreadPoolExecutor(4) as threads:
        answers = []
        for _ in range(3):
            end_holder(server, name)
            assert not lock.is_held()
            answers.append(sorted(kept.value for kept in threads.map(lambda _: lock.keep(), range(8))))
    assert answers == [["held"] * 7 + ["retaken"]] * 3
    assert lock.is_held()


def test_a_lock_that_another_process_holds_now_is_lost(server: psycopg.Connection[Any], lock: Lock, name: str) -> None:
    assert lock.acquire() is None
    end_holder(server, name)
    with alias_on("postgresql") as alias:
        other = locks("database", alias=alias)(name)
        assert other.acquire() is None
        assert lock.keep() is LockState.LOST
        other.release()
        assert lock.keep() is LockState.LOST
    assert not lock.is_held()
    lock.release()
    assert lock.acquire() is None
    assert lock.keep() is LockState.HELD


def test_a_server_that_restarts_is_waited_for(
    server: psycopg.Connection[Any], lock: Lock, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object) -> None:
        raise LockUnavailable("the database system is shutting down")

    assert lock.acquire() is None
    clock, begin = time.monotonic, Session.__init__
    monkeypatch.setattr(Session, "__init__", refuse)
    end_holder(server, name)
    assert lock.keep() is LockState.UNKNOWN
    monkeypatch.setattr(time, "monotonic", lambda: clock() + PATIENCE_SECONDS - 5)
    assert lock.keep() is LockState.UNKNOWN
    assert not lock.is_held()
    monkeypatch.setattr(Session, "__init__", begin)
    assert lock.keep() is LockState.RETAKEN
    assert (lock.is_held(), pid_of(server, name) is None) == (True, False)
    monkeypatch.setattr(Session, "__init__", refuse)
    end_holder(server, name)
    assert lock.keep() is LockState.UNKNOWN
    monkeypatch.setattr(time, "monotonic", lambda: clock() + 3 * PATIENCE_SECONDS)
    assert [lock.keep(), lock.keep()] == [LockState.LOST] * 2


def test_a_connection_that_only_the_client_knows_to_be_broken_is_ended(
    server: psycopg.Connection[Any], lock: Lock, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Simulates a network that drops a connection without notifying either end."""
    broken: list[Session] = []
    ask, close = Session.ask, Session.close

    def lose(session: Session, *args: Any) -> Any:
        if session in broken:
            raise LockUnavailable("could not receive data from server: Connection timed out")
        return ask(session, *args)

    assert lock.acquire() is None
    before = pid_of(server, name)
    broken.append(vars(lock)["_session"])
    monkeypatch.setattr(Session, "ask", lose)
    monkeypatch.setattr(Session, "close", lambda session: None if session in broken else close(session))
    assert lock.keep() is LockState.UNKNOWN
    assert eventually(lambda: lock.keep() is LockState.RETAKEN)
    assert pid_of(server, name) not in {None, before}
    close(broken[0])


def test_a_free_lock_proves_that_its_holder_is_dead_unless_the_server_was_just_started(
    server: psycopg.Connection[Any], lock: Lock, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert lock.probe() is Probe.FREE
    assert lock.acquire() is None
    assert lock.probe() is Probe.HELD
    lock.discard()
    assert lock.probe() is Probe.FREE
    server.execute("SELECT pg_advisory_lock(%s)", [key_of(name)])
    assert lock.probe() is Probe.HELD
    server.execute("SELECT pg_advisory_unlock(%s)", [key_of(name)])
    monkeypatch.setattr(PostgreSQLLock, "_uptime_seconds", lambda lock, session: PATIENCE_SECONDS - 1)
    assert lock.probe() is Probe.UNKNOWN


def test_a_probe_acquires_nothing(server: psycopg.Connection[Any], lock: Lock, name: str) -> None:
    # Other tests have locks on this server at the same time.
    count = f"SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'runbook {os.getpid()} %'"
    before = server.execute(count).fetchone()
    assert lock.probe() is Probe.FREE
    assert eventually(lambda: server.execute(count).fetchone() == before)


LIMITS_IN_A_TRANSACTION = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")


@pytest.mark.parametrize(
    "limits",
    [
        {"statement_timeout": "500ms"},
        {"lock_timeout": "500ms"},
        {"idle_in_transaction_session_timeout": "500ms"},
        {"idle_session_timeout": "500ms"},
        {"statement_timeout": "500ms", "lock_timeout": "500ms", "idle_in_transaction_session_timeout": "500ms"},
        {"default_transaction_read_only": "on", "default_transaction_deferrable": "on"},
        {"default_transaction_isolation": "'repeatable read'"},
        {"default_transaction_isolation": "serializable", "lock_timeout": "500ms"},
    ],
    ids=" and ".join,
)
def test_timeouts_of_a_role_do_not_affect_the_lock(
    server: psycopg.Connection[Any], name: str, limits: dict[str, str]
) -> None:
    role = f"role_{uuid.uuid4().hex[:12]}"
    server.execute(f"CREATE ROLE {role} LOGIN")
    try:
        for limit, value in limits.items():
            server.execute(f"ALTER ROLE {role} SET {limit} = {value if value[0] == chr(39) else repr(value)}")
        with alias_on("postgresql", USER=role) as alias:
            new_lock = locks("database", alias=alias)
            lock, other = new_lock(name), new_lock(name)
            assert isinstance(lock, PostgreSQLLock)
            assert lock.acquire() is None
            try:
                assert lock._session is not None
                assert holder_of(other).pid == os.getpid()
                assert other.probe() is Probe.HELD
                limits_of_the_lock = [lock._session.ask(f"SHOW {limit}") for limit in LIMITS_IN_A_TRANSACTION]
                assert limits_of_the_lock == [("0",)] * len(LIMITS_IN_A_TRANSACTION)
                time.sleep(1)
                assert (lock.is_held(), lock.keep()) == (True, LockState.HELD)
            finally:
                lock.release()
            assert other.probe() is Probe.FREE
    finally:
        server.execute(f"DROP ROLE {role}")


def test_vacuum_is_not_held_back(server: psycopg.Connection[Any], lock: Lock, name: str) -> None:
    assert lock.acquire() is None
    assert lock.is_held()
    row = server.execute(
        "SELECT state, backend_xmin, backend_xid FROM pg_stat_activity WHERE pid = %s", [pid_of(server, name)]
    ).fetchone()
    assert row == ("idle in transaction", None, None)


def test_nothing_else_is_locked(server: psycopg.Connection[Any], lock: Lock, name: str) -> None:
    assert lock.acquire() is None
    rows = server.execute("SELECT locktype FROM pg_locks WHERE pid = %s", [pid_of(server, name)]).fetchall()
    assert sorted(rows) == [("advisory",), ("virtualxid",)]
    lock.release()
    assert pid_of(server, name) is None


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"options": "-c idle_in_transaction_session_timeout=100"}, id="a limit for idle transactions"),
        pytest.param({"isolation_level": psycopg.IsolationLevel.SERIALIZABLE}, id="serializable"),
        pytest.param({"options": "-c default_transaction_isolation=serializable"}, id="serializable by default"),
        pytest.param({"options": "-c default_transaction_read_only=on"}, id="read only"),
        pytest.param({"options": "-c statement_timeout=100"}, id="a limit for statements"),
        pytest.param({"pool": {"max_size": 1}}, id="a pool of Django's"),
        pytest.param({"server_side_binding": True}, id="binding by the server"),
        pytest.param({"prepare_threshold": 0}, id="prepared statements"),
        pytest.param({"server_side_binding": True, "prepare_threshold": 0}, id="both"),
    ],
)
def test_database_settings_of_the_project_do_not_affect_the_lock(
    server: psycopg.Connection[Any], name: str, options: dict[str, Any]
) -> None:
    with alias_on("postgresql", OPTIONS=options) as alias:
        lock = locks("database", alias=alias)(name)
        assert lock.acquire() is None
        time.sleep(0.3)
        assert lock.is_held()
        assert holder_of(locks("database", alias=alias)(name)).pid == os.getpid()
        row = server.execute("SELECT backend_xmin FROM pg_stat_activity WHERE pid = %s", [pid_of(server, name)])
        assert row.fetchone() == (None,)
        lock.release()


def test_closing_all_connections_keeps_the_lock(lock: Lock) -> None:
    assert lock.acquire() is None
    connections.close_all()
    assert lock.is_held()


def test_two_aliases_of_one_database_share_a_lock(lock: Lock, name: str) -> None:
    assert lock.acquire() is None
    with alias_on("postgresql", HOST={"127.0.0.1": "localhost"}.get(POSTGRES["HOST"], POSTGRES["HOST"])) as alias:
        assert holder_of(locks("database", alias=alias)(name)).pid == os.getpid()


def test_a_long_holder_is_truncated(name: str) -> None:
    with alias_on("postgresql") as alias:
        first = PostgreSQLLock(name, alias=alias, what="run_runbook nächtlich.yml " + "x" * 100)
        assert first.acquire() is None
        holder = holder_of(PostgreSQLLock(name, alias=alias))
        first.release()
    here = Holder.here(what="")
    assert (holder.pid, holder.host) == (here.pid, here.host)
    assert holder.what.startswith("run_runbook")


def test_an_unknown_holder_is_another_process(server: psycopg.Connection[Any], lock: Lock, name: str) -> None:
    server.execute("SELECT pg_advisory_lock(%s)", [key_of(name)])
    assert lock.acquire() == Holder()
    server.execute("SELECT pg_advisory_unlock(%s)", [key_of(name)])
    assert lock.acquire() is None


def test_a_key_never_changes() -> None:
    # Two releases that run concurrently exclude each other.
    assert key_of("command import_flights") == -4181470096309040831
