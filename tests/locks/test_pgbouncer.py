"""Tries locks of PostgreSQL through PgBouncer, which assigns each transaction to another connection."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.locks.backends import Backend, alias_on, holder_of, is_free, locks
from tests.locks.looking import end_holder, pid_of
from tests.locks.processes import run_crowd
from tests.locks.servers import Server, free_port, running
from tests.patience import eventually
from tests.postgres_settings import POSTGRES
from tests.services import require_postgres, require_program

pytestmark = pytest.mark.slow

_CONFIGURATION = """
[databases]
{name} = host={host} port={port} dbname={name} user={user} password='{password}'
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listen_port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {pool_size}
"""


@contextmanager
def pgbouncer(directory: Path, *, pool_size: int) -> Iterator[Server]:
    require_postgres()
    port = free_port()
    # PgBouncer refuses an empty password; without authentication, any password works.
    values = {part.lower(): value or "none" for part, value in POSTGRES.items()}
    configuration = directory / "pgbouncer.ini"
    configuration.write_text(_CONFIGURATION.format(**values, listen_port=port, pool_size=pool_size))
    command = [require_program("pgbouncer"), str(configuration)]
    if os.geteuid() == 0:
        # PgBouncer refuses to run as root.
        command[1:1] = ["--user", "nobody"]
    with running(command, port=port, directory=directory) as server:
        yield server


@contextmanager
def alias_through(server: Server, **changes: Any) -> Iterator[str]:
    with alias_on("postgresql", HOST="127.0.0.1", PORT=str(server.port), **changes) as alias:
        yield alias


@pytest.mark.parametrize("backend", ["postgresql"], indirect=True)
def test_one_of_twenty_processes_runs_and_the_others_name_it(tmp_path: Path, backend: Backend, name: str) -> None:
    with pgbouncer(tmp_path, pool_size=25) as server:
        results = run_crowd(backend, name, count=20, PGHOST="127.0.0.1", PGPORT=str(server.port))
    winners = [one for one in results if one["code"] == 0]
    assert [one["text"] for one in winners] == ["worked\n"]
    others = [one for one in results if one["code"] == 75]
    assert len(others) == 19
    assert all(f" is held by manage.py hold_lock, process {winners[0]['pid']} on " in one["text"] for one in others)


def test_processes_with_and_without_the_pooler_exclude_each_other(tmp_path: Path, name: str) -> None:
    with pgbouncer(tmp_path, pool_size=2) as server, alias_through(server) as through, alias_on("postgresql") as past:
        for first, second in ((through, past), (past, through)):
            lock = locks("database", alias=first)(name)
            assert lock.acquire() is None
            assert lock.is_held()
            assert holder_of(locks("database", alias=second)(name)).pid == os.getpid()
            lock.release()


@pytest.mark.parametrize("pool_size", [1, 2, 5])
def test_many_short_holders_follow_each_other_and_leave_nothing(
    tmp_path: Path, name: str, pool_size: int, server: psycopg.Connection[Any]
) -> None:
    inside: list[int] = []
    most: list[int] = []

    def hold(number: int) -> bool:
        lock = locks("database", alias=alias)(name)
        assert eventually(lambda: lock.acquire() is None)
        inside.append(number)
        most.append(len(inside))
        assert lock.is_held()
        inside.remove(number)
        lock.release()
        return True

    with pgbouncer(tmp_path, pool_size=pool_size) as bouncer, alias_through(bouncer) as alias:
        with ThreadPoolExecutor(8) as threads:
            assert all(threads.map(hold, range(24)))
        assert most == [1] * 24
        assert pid_of(server, name) is None


def test_the_connection_returns_to_the_pool_unchanged(tmp_path: Path, name: str) -> None:
    with (
        pgbouncer(tmp_path, pool_size=1) as server,
        alias_through(server) as alias,
        psycopg.connect(
            host="127.0.0.1", port=server.port, user=POSTGRES["USER"], dbname=POSTGRES["NAME"], autocommit=True
        ) as client,
    ):
        before = _standing(client)
        lock = locks("database", alias=alias)(name)
        assert lock.acquire() is None
        lock.release()
        assert _standing(client) == before


def test_the_end_of_the_server_connection_is_detected(
    tmp_path: Path, name: str, server: psycopg.Connection[Any]
) -> None:
    with pgbouncer(tmp_path, pool_size=2) as bouncer, alias_through(bouncer) as alias:
        lock = locks("database", alias=alias)(name)
        assert lock.acquire() is None
        end_holder(server, name)
        assert eventually(lambda: not lock.is_held())
        assert is_free(locks("database", alias=alias)(name))
        lock.release()


def _standing(client: psycopg.Connection[Any]) -> Any:
    # The process too: releasing a lock by closing the connection would cost the pool a new one.
    return client.execute(
        "SELECT pg_backend_pid(), current_setting('application_name'),"
        " current_setting('idle_in_transaction_session_timeout'), current_setting('transaction_isolation')"
    ).fetchone()
