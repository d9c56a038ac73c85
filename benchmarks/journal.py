"""What the journal costs a step, as a ratio to a bare INSERT plus UPDATE through the ORM on the same database.

``python -m benchmarks.journal`` measures on SQLite in WAL mode, ``python -m benchmarks.journal postgresql`` there
(PGHOST, PGPORT, PGUSER, PGPASSWORD, PGDATABASE), in a database that it makes and drops.
"""

from __future__ import annotations

import io
import os
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.table import Row, show

STEP_COUNT = 200
ROUNDS = 25


def main(vendor: str) -> None:
    """Print the ratio; the sides take turns, so that a slow moment of the machine meets all of them."""
    from django.conf import settings

    from benchmarks import settings as base

    with tempfile.TemporaryDirectory() as directory, database_of(vendor, Path(directory)) as database:
        values = {name: getattr(base, name) for name in dir(base) if name.isupper()}
        settings.configure(**{**values, "DATABASES": {"default": database}, "RUNBOOK": {}})
        import django

        django.setup()
        from django.core.management import call_command
        from django.db import connection

        call_command("migrate", verbosity=0)
        path = Path(directory) / "noop.yml"
        path.write_text("steps:\n" + "  - noop\n" * STEP_COUNT)

        def run(**options: Any) -> None:
            call_command("run_runbook", str(path), format="plain", stdout=io.StringIO(), **options)

        sides = (_bare(), lambda: run(no_journal=True), run)
        for side in sides:
            side()
        commits = [_commits(side) / STEP_COUNT for side in (_bare(), run)]
        rounds = [[_seconds(side) * 1000 / STEP_COUNT for side in sides] for _ in range(ROUNDS)]
        connection.close()
    show(Row(f"history of a step, {vendor}", commits[1], "commits", 1.1, note=f"bare rows {commits[0]:.2f}"))
    bare, without, recorded = (min(column) for column in zip(*rounds, strict=True))
    print(f"INSERT and UPDATE    {bare:.3f} ms")
    print(f"journal of a step    {recorded - without:.3f} ms, of {recorded:.3f} ms in all")
    note = f"median of ratios {statistics.median((third - second) / first for first, second, third in rounds):.2f}"
    ratio = (recorded - without) / bare
    show(Row(f"history of a step, {vendor}", ratio, "times a bare INSERT and UPDATE", 1.25, note=note))


def _bare() -> Callable[[], None]:
    """What anybody would write who wanted a row for each step."""
    from django.utils import timezone

    from django_runbook.models import Run, StepRun

    def write() -> None:
        run = Run.objects.create(id=uuid.uuid4().hex, started_at=timezone.now(), pid=1, host="here", owner="me")
        for number in range(STEP_COUNT):
            row = StepRun.objects.create(
                run=run,
                step_id=f"step-{number}",
                name=f"step-{number}",
                role="step",
                kind="command",
                argv=["noop"],
                status="running",
                definition="command: noop",
                definition_hash="0" * 64,
                started_at=timezone.now(),
                file="noop.yml",
                line=number,
            )
            StepRun.objects.filter(pk=row.pk).update(status="succeeded", exit_code=0, finished_at=timezone.now())

    return write


def _commits(call: Callable[[], None]) -> int:
    """Count the transactions that a call commits, in all threads."""
    from django.db.backends.base.base import BaseDatabaseWrapper
    from django.db.backends.utils import CursorWrapper

    count = 0
    wrapper: Any = BaseDatabaseWrapper
    cursor_wrapper: Any = CursorWrapper
    commit, execute = wrapper._commit, cursor_wrapper._execute

    def count_commit(connection: Any) -> None:
        nonlocal count
        count += 1
        commit(connection)

    def count_statement(cursor: Any, sql: str, *more: Any) -> Any:
        nonlocal count
        # Outside of a transaction, a statement that writes is a commit of its own.
        is_write = sql.startswith(("INSERT", "UPDATE", "DELETE"))
        count += is_write and not cursor.db.in_atomic_block
        return execute(cursor, sql, *more)

    wrapper._commit, cursor_wrapper._execute = count_commit, count_statement
    try:
        call()
    finally:
        wrapper._commit, cursor_wrapper._execute = commit, execute
    return count


@contextmanager
def database_of(vendor: str, directory: Path) -> Iterator[dict[str, Any]]:
    if vendor == "sqlite":
        options = {"timeout": 20, "transaction_mode": "IMMEDIATE", "init_command": "PRAGMA journal_mode=WAL;"}
        yield {"ENGINE": "django.db.backends.sqlite3", "NAME": directory / "journal.sqlite3", "OPTIONS": options}
        return
    if vendor == "mysql":
        with _mysql_database() as database:
            yield database
        return
    import psycopg

    name = f"benchmark_{uuid.uuid4().hex[:12]}"
    access: dict[str, Any] = {
        "host": os.environ.get("PGHOST", "127.0.0.1"),
        "port": os.environ.get("PGPORT", "5432"),
        "user": os.environ.get("PGUSER", "postgres"),
        "password": os.environ.get("PGPASSWORD", ""),
    }
    with psycopg.connect(**access, dbname=os.environ.get("PGDATABASE", "postgres"), autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name}")
        try:
            settings = {key.upper(): value for key, value in access.items()}
            yield {"ENGINE": "django.db.backends.postgresql", "NAME": name, **settings}
        finally:
            server.execute(f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def _mysql_database() -> Iterator[dict[str, Any]]:
    """Make a database on the MariaDB of MYSQL_HOST, MYSQL_TCP_PORT, MYSQL_USER and MYSQL_PWD."""
    import pymysql

    from tests.mariadb_settings import MARIADB

    name = f"benchmark_{uuid.uuid4().hex[:12]}"
    server = pymysql.connect(
        host=MARIADB["HOST"], port=int(MARIADB["PORT"]), user=MARIADB["USER"], password=MARIADB["PASSWORD"]
    )
    with server.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name}")
        try:
            yield {**MARIADB, "NAME": name}
        finally:
            cursor.execute(f"DROP DATABASE {name}")


def _seconds(call: Callable[[], None]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "sqlite")
