"""A database of its own on each engine, with the tables of the tests, and commands in processes forked from this one."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import traceback
import uuid
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from django_runbook.models.checkpoints import Checkpoint, FailedRow, FinishedKey
from tests.batchapp.models import KEYED, Item, Ledger
from tests.patience import PATIENCE_SECONDS
from tests.postgres_settings import POSTGRES
from tests.services import alias_added, require_database
from tests.statements import Point, visit_points

VENDORS = ("sqlite", "postgresql", "mariadb")
# The full run asks for 200.
KILL_ROUNDS = int(os.environ.get("RUNBOOK_KILL_ROUNDS", "8"))
# The full run kills at each point; else each case takes every third one, and the cases begin at different ones.
STRIDE = 1 if KILL_ROUNDS > 8 else 3
TABLES = (Item, Ledger, *KEYED, Checkpoint, FailedRow, FinishedKey)
KILLED = -signal.SIGKILL


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """An alias of a database that no other test uses."""

    vendor: str
    alias: str
    settings: Mapping[str, Any] = field(compare=False, repr=False)

    @contextlib.contextmanager
    def known(self) -> Iterator[None]:
        """Have the alias in DATABASES for a while: other tests count and forbid the databases that they find there."""
        with alias_added(self.alias, self.settings):
            yield

    @property
    def connection(self) -> BaseDatabaseWrapper:
        return connections[self.alias]

    def clear(self) -> None:
        """Empty all tables."""
        self.connection.close()
        with self.connection.cursor() as cursor:
            for model in reversed(TABLES):
                cursor.execute(f"DELETE FROM {model._meta.db_table}")

    def fill(self, count: int, **values: Any) -> None:
        """Make so many items."""
        Item.objects.using(self.alias).bulk_create([Item(**values) for _ in range(count)])

    def problems(self, count: int) -> list[str]:
        """What speaks against each of so many items having been done once."""
        items, ledger = Item.objects.using(self.alias), Ledger.objects.using(self.alias)
        found = []
        if (wrong := items.exclude(count=1).count()) or items.count() != count:
            found.append(f"{wrong} of {items.count()} items were not done once")
        keys = list(ledger.values_list("item_key", flat=True))
        if len(keys) != len(set(keys)) or len(keys) != count:
            found.append(f"{len(keys)} ledger rows, {len(set(keys))} of them different")
        return found

    def are_counts_right(self) -> bool:
        """Whether the checkpoint agrees with the rows."""
        # In one statement: a server may still commit the last batch of a process that was killed.
        with self.connection.cursor() as cursor:
            cursor.execute(
                f"SELECT (SELECT COALESCE(SUM(done_count), 0) FROM {Checkpoint._meta.db_table}),"
                f" (SELECT COUNT(*) FROM {Ledger._meta.db_table})"
            )
            done_count, ledger_count = cursor.fetchone()
        return int(done_count) == int(ledger_count)

    def is_finished(self) -> bool:
        """Whether the work has ended: something is done, and the checkpoint cleared."""
        return Ledger.objects.using(self.alias).exists() and not Checkpoint.objects.using(self.alias).exists()

    @contextlib.contextmanager
    def forked(self, work: Callable[[], object]) -> Iterator[Child]:
        """Work in a process of its own, which is killed at the end, if it is still there."""
        self.connection.close()
        child = Child(_fork(work))
        reaper = threading.Timer(PATIENCE_SECONDS, child.end_late)
        reaper.start()
        try:
            yield child
        finally:
            child.kill()
            child.wait()
            reaper.cancel()
            reaper.join()

    def run(self, command: BaseCommand, *tokens: object, **options: Any) -> int:
        """A command in a process of its own, to its end; gives the exit code, negative after a death by signal."""
        with self.forked(self.work(command, *tokens, **options)) as child:
            return child.wait()

    def work(self, command: BaseCommand, *tokens: object, **options: Any) -> Callable[[], object]:
        """A command on this database, to be called in a process of its own."""
        return lambda: call_command(command, *map(str, tokens), "--database", self.alias, **options)


class Child:
    """A process that was forked from this one."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._status: int | None = None
        self._is_late = False

    def kill(self, number: int = signal.SIGKILL) -> None:
        if self._status is None:
            os.kill(self.pid, number)

    def wait(self) -> int:
        if self._status is None:
            _, status = os.waitpid(self.pid, 0)
            self._status = os.waitstatus_to_exitcode(status)
        assert not self._is_late, "the process did not end in time, and was killed"
        return self._status

    def end_late(self) -> None:
        """Kill the process because it is still there after all patience, which fails the test."""
        self._is_late = True
        self.kill()

    def is_running(self) -> bool:
        if self._status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._status = os.waitstatus_to_exitcode(status)
        return self._status is None


def _fork(work: Callable[[], object]) -> int:
    sys.stdout.flush()
    sys.stderr.flush()
    with warnings.catch_warnings():
        # Of threads: this process has one that waits to kill a child that hangs.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid:
        return pid
    code = 70
    try:
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        code = _exit_code(work)
    finally:
        sys.stderr.flush()
        os._exit(code)


def _exit_code(work: Callable[[], object]) -> int:
    try:
        work()
    except CommandError as error:
        print(f"CommandError: {error}", file=sys.stderr)
        return error.returncode
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else 1
    except BaseException:  # noqa: BLE001 - of a process that ends here
        traceback.print_exc()
        return 70
    return 0


def make(vendor: str, directory: Path) -> Iterator[Engine]:
    """A database with empty tables, dropped at the end; for a fixture. Its alias is only there while it is `known`."""
    name = f"runbook_{uuid.uuid4().hex[:12]}"
    base = _settings_of(vendor, directory / f"{name}.sqlite3")
    with _server(vendor, base, name) as settings:
        engine = Engine(vendor=vendor, alias=f"{vendor}_{name}", settings=settings)
        with engine.known(), engine.connection.schema_editor() as editor:
            for model in TABLES:
                editor.create_model(model)
        yield engine


def _settings_of(vendor: str, path: Path) -> dict[str, Any]:
    if vendor == "sqlite":
        # Processes are killed here, not machines: what the system has been given need not wait for the disk.
        options: dict[str, Any] = {"timeout": 20, "init_command": "PRAGMA synchronous = OFF"}
        return {"ENGINE": "django.db.backends.sqlite3", "NAME": path, "OPTIONS": options}
    if vendor == "postgresql":
        return {**POSTGRES, "OPTIONS": {"options": "-c synchronous_commit=off"}}
    from tests.mariadb_settings import MARIADB

    return dict(MARIADB)


@contextlib.contextmanager
def _server(vendor: str, settings: dict[str, Any], name: str) -> Iterator[dict[str, Any]]:
    if vendor == "sqlite":
        yield settings
        return
    server = settings if vendor == "postgresql" else {**settings, "NAME": ""}
    with _alias_of(server) as alias:
        require_database(alias)
    _run(server, f"CREATE DATABASE {name}" + (" CHARACTER SET utf8mb4" if vendor == "mariadb" else ""))
    try:
        yield {**settings, "NAME": name}
    finally:
        _run(server, f"DROP DATABASE {name}" + (" WITH (FORCE)" if vendor == "postgresql" else ""))


def _run(server: Mapping[str, Any], statement: str) -> None:
    with _alias_of(server) as alias, connections[alias].cursor() as cursor:
        cursor.execute(statement)


def _alias_of(server: Mapping[str, Any]) -> contextlib.AbstractContextManager[str]:
    return alias_added(f"server_{uuid.uuid4().hex[:12]}", server)


def dies_at(number: int, engine: Engine, work: Callable[[], object]) -> Callable[[], object]:
    """Return work that kills its process at a point; points are after each statement, and around each commit."""

    def run() -> None:
        left = number

        def visit(connection: BaseDatabaseWrapper, point: Point) -> None:
            nonlocal left
            if connection.alias == engine.alias and point is not Point.BEFORE_STATEMENT:
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        visit_points(visit)
        work()

    return run
