"""The lock of a PostgreSQL transaction: what takes it away, and what does not."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from django.db import connections

from django_runbook.locks.base import Holder, Lock
from django_runbook.locks.postgresql import PostgreSQLLock
from tests.locks.backends import alias_on, eventually, holder_of, is_free, locks
from tests.locks.looking import key_of, pid_of
from tests.postgres_settings import POSTGRES


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
    server.execute("SELECT pg_terminate_backend(%s)", [pid_of(server, name)])
    assert eventually(lambda: not lock.is_held())
    with alias_on("postgresql") as alias:
        assert is_free(locks("database", alias=alias)(name))
    lock.release()
    assert lock.acquire() is None
    assert lock.is_held()


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
    ],
)
def test_the_settings_of_the_project_do_not_touch_the_lock(
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


def test_closing_all_connections_leaves_the_lock(lock: Lock) -> None:
    assert lock.acquire() is None
    connections.close_all()
    assert lock.is_held()


def test_two_ways_to_one_database_lead_to_one_lock(lock: Lock, name: str) -> None:
    assert lock.acquire() is None
    with alias_on("postgresql", HOST={"127.0.0.1": "localhost"}.get(POSTGRES["HOST"], POSTGRES["HOST"])) as alias:
        assert holder_of(locks("database", alias=alias)(name)).pid == os.getpid()


def test_the_holder_is_told_as_far_as_there_is_room(name: str) -> None:
    with alias_on("postgresql") as alias:
        first = PostgreSQLLock(name, alias=alias, what="run_runbook nächtlich.yml " + "x" * 100)
        assert first.acquire() is None
        holder = holder_of(PostgreSQLLock(name, alias=alias))
        first.release()
    here = Holder.here(what="")
    assert (holder.pid, holder.host) == (here.pid, here.host)
    assert holder.what.startswith("run_runbook")


def test_the_lock_of_a_stranger_is_held_by_another_process(
    server: psycopg.Connection[Any], lock: Lock, name: str
) -> None:
    server.execute("SELECT pg_advisory_lock(%s)", [key_of(name)])
    assert lock.acquire() == Holder()
    server.execute("SELECT pg_advisory_unlock(%s)", [key_of(name)])
    assert lock.acquire() is None


def test_a_key_is_the_same_for_ever() -> None:
    # Two releases that run at the same time exclude each other.
    assert key_of("command import_flights") == -4181470096309040831
