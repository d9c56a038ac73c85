"""Tests runs whose database or lock connection is unavailable for a moment."""

from __future__ import annotations

import contextlib
import json
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError, connections
from django.utils import timezone
from pytest_django import DjangoDbBlocker

from django_runbook.conf import Configuration, LockBackend
from django_runbook.exceptions import JournalLost
from django_runbook.journal.connection import JournalConnection
from django_runbook.journal.writer import Writer
from django_runbook.locks.factory import new_factory
from django_runbook.models import Run
from tests.journal.databases import database_on, manage, started
from tests.journal.proxy import proxied
from tests.patience import PATIENCE_SECONDS, wait_until
from tests.runner.support import wait_for
from tests.services import alias_added

pytestmark = pytest.mark.slow


@pytest.fixture(params=["postgresql", "mariadb"])
def database(request: pytest.FixtureRequest, tmp_path: Path, django_db_blocker: DjangoDbBlocker) -> Iterator[Any]:
    with django_db_blocker.unblock(), database_on(request.param, tmp_path) as settings:
        assert manage(tmp_path, settings, "migrate", "--verbosity", "0").returncode == 0
        yield settings


def rows(tmp_path: Path, database: Any) -> tuple[dict[str, Any], list[tuple[str, int, str]]]:
    """Return the row of the only run, and the status of each step."""
    (run,) = json.loads(manage(tmp_path, database, "show_runs", "--format", "json").stdout)
    shown = json.loads(manage(tmp_path, database, "show_runs", "--run", run["id"], "--format", "json").stdout)
    return run, [(step["step_id"], step["attempt"], step["status"]) for step in shown["steps"]]


def test_the_run_waits_for_a_database_that_is_unavailable_between_two_steps(tmp_path: Path, database: Any) -> None:
    (tmp_path / "test.yml").write_text("""
lock: mine
steps:
  - {id: one, command: effect one --log log --until go --fail-until 2, retry: {attempts: 2, delay: 0.1s}}
  - {id: two, command: effect two --log log}
""")
    with proxied(database["HOST"], int(database["PORT"])) as proxy:
        proxied_database = database | {"PORT": str(proxy.port)}
        with started(tmp_path, proxied_database, "run_runbook", "test.yml", "--format", "plain") as process:
            wait_for(tmp_path / "log", "begin one")
            proxy.cut()
            (tmp_path / "go").touch()
            assert process.stdout is not None
            output = ""
            while "the run history database: " not in output:
                line = process.stdout.readline()
                assert line, output
                output += line
            proxy.restore()
            output += process.communicate(timeout=PATIENCE_SECONDS)[0]
    assert process.returncode == 0, output
    assert output.count("the run history database: ") == 1, output
    assert output.count('the lock "mine" was lost and acquired again') == 1, output
    assert "journal lost" not in output
    assert rows(tmp_path, database)[1] == [("one", 1, "failed"), ("one", 2, "succeeded"), ("two", 1, "succeeded")]


@pytest.mark.usefixtures("mariadb")
def test_a_statement_that_is_too_long_for_the_database_is_not_repeated() -> None:
    journal = JournalConnection("mariadb", patience_seconds=PATIENCE_SECONDS)
    limit = journal.execute(lambda is_repeated: _asked("SELECT @@max_allowed_packet"))
    repetitions: list[bool] = []

    def ask(is_repeated: bool) -> Any:  # noqa: FBT001 - as JournalConnection calls it
        repetitions.append(is_repeated)
        return _asked("SELECT length(%s)", "x" * limit)

    with pytest.raises(JournalLost, match="max_allowed_packet") as caught:
        journal.execute(ask)
    assert repetitions == [False]
    assert journal.has_refused(caught.value)
    journal.reconnect()
    assert journal.execute(lambda is_repeated: _asked("SELECT length(%s)", "x")) == 1


def _asked(statement: str, *values: str) -> Any:
    with connections["mariadb"].cursor() as cursor:
        cursor.execute(statement, values)
        return cursor.fetchone()[0]


@pytest.fixture
def mariadb(tmp_path: Path, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    with (
        django_db_blocker.unblock(),
        database_on("mariadb", tmp_path) as settings,
        alias_added("mariadb", settings),
    ):
        yield


def end_connections(alias: str, name: str) -> None:
    """End all other connections to a database, as an administrator would."""
    with connections[alias].cursor() as cursor:
        if connections[alias].vendor == "postgresql":
            query = (
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()"
            )
            cursor.execute(query, [name])
            return
        cursor.execute("SELECT id FROM information_schema.processlist WHERE db = %s AND id <> CONNECTION_ID()", [name])
        for (number,) in cursor.fetchall():
            # It may have ended by itself.
            with contextlib.suppress(OperationalError):
                cursor.execute(f"KILL {number}")


@contextlib.contextmanager
def known_here(database: Any, **more: Any) -> Iterator[str]:
    """Add an alias for the database of the run to this process."""
    with alias_added(f"own_{time.monotonic_ns()}", {**database, **more}) as name:
        yield name


@pytest.fixture
def alias(database: Any) -> Iterator[str]:
    with known_here(database) as name:
        yield name


TEXT = """
lock: mine
steps:
  - {id: one, command: effect one --log log}
  - {id: two, command: effect two --log log --until go, idempotent: true}
  - {id: three, command: effect three --log log}
finally: [effect clean --log log]
"""


def test_a_lock_with_an_ended_connection_is_acquired_again(tmp_path: Path, database: Any, alias: str) -> None:
    (tmp_path / "test.yml").write_text(TEXT)
    with started(tmp_path, database, "run_runbook", "test.yml", "--format", "plain") as process:
        wait_for(tmp_path / "log", "begin two")
        end_connections(alias, database["NAME"])
        (tmp_path / "go").touch()
        output = process.communicate(timeout=PATIENCE_SECONDS)[0]
    assert process.returncode == 0, output
    assert output.count('the lock "mine" was lost and acquired again') == 1, output
    assert rows(tmp_path, database)[0]["status"] == "succeeded"


def test_a_lock_acquired_by_another_process_ends_the_run_which_can_be_resumed(
    tmp_path: Path, database: Any, alias: str
) -> None:
    (tmp_path / "test.yml").write_text(TEXT)
    configuration = Configuration(lock=LockBackend(backend="database", options={"alias": alias}))
    lock = new_factory(configuration, what="a contender")("mine")
    with started(tmp_path, database, "run_runbook", "test.yml", "--format", "plain") as process:
        wait_for(tmp_path / "log", "begin two")
        # Otherwise, the run may acquire its lock again before another process does.
        process.send_signal(signal.SIGSTOP)
        end_connections(alias, database["NAME"])
        wait_until(lambda: lock.acquire() is None, what="the server has ended the connection of the run")
        process.send_signal(signal.SIGCONT)
        # The process is killed in the middle of the step.
        output = process.communicate(timeout=PATIENCE_SECONDS)[0]
    lock.release()
    assert process.returncode == 1, output
    assert 'the lock "mine" was lost: it is held by ' in output
    log = (tmp_path / "log").read_text()
    assert "end two" not in log
    assert "end clean" in log
    run, steps = rows(tmp_path, database)
    assert (run["status"], run["exit_code"]) == ("failed", 1)
    assert ("one", 1, "succeeded") in steps
    (tmp_path / "go").touch()
    done = manage(tmp_path, database, "run_runbook", "test.yml", "--resume", "--format", "plain")
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "log").read_text().count("begin one") == 1
    assert "end three" in (tmp_path / "log").read_text()


# Limits that an administrator may have set for the role of the project.
LIMITS = {
    "postgresql": {"options": "-c lock_timeout=50ms -c statement_timeout=100ms"},
    "mysql": {"init_command": "SET SESSION lock_wait_timeout = 1"},
}


def test_a_write_waits_for_a_locked_table_longer_than_the_limits_of_the_role(database: Any, alias: str) -> None:
    vendor = connections[alias].vendor
    run = Run(id="0" * 32, runbook="test", name="test", file="test.yml", owner="mine", pid=1)
    run.begin(timezone.now())
    reasons: list[str] = []
    is_locked, is_done = threading.Event(), threading.Event()
    table = connections[alias].ops.quote_name(Run._meta.db_table)

    def hold() -> None:
        with contextlib.closing(connections[alias].copy()) as other, other.cursor() as cursor:
            if vendor == "postgresql":
                cursor.execute("BEGIN")
                cursor.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
            else:
                cursor.execute(f"LOCK TABLES {table} WRITE")
            is_locked.set()
            is_done.wait(PATIENCE_SECONDS)

    def note(reason: str) -> None:
        reasons.append(reason)
        is_done.set()

    thread = threading.Thread(target=hold)
    with known_here(database, OPTIONS=LIMITS[vendor]) as limited:
        connection = JournalConnection(limited)
        writer = Writer(run, connection=connection)
        connection.on_wait = note
        thread.start()
        assert is_locked.wait(PATIENCE_SECONDS)
        try:
            writer.begin()
        finally:
            is_done.set()
            thread.join()
        assert not writer.is_waiting
        assert Run.objects.using(limited).filter(pk=run.pk).exists()
    assert len(reasons) == 1
