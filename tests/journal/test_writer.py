"""Tests how rows are written if the database refuses."""

from __future__ import annotations

import itertools
import os
import socket
import sqlite3
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import DataError, OperationalError, connections
from django.utils import timezone
from pytest_django import DjangoDbBlocker

from django_runbook import conf
from django_runbook.exceptions import JournalLost
from django_runbook.journal.connection import JournalConnection
from django_runbook.journal.writer import Writer
from django_runbook.models import Run, StepRun
from django_runbook.models.calls import Call
from django_runbook.results import StepStatus
from tests.batch.databases import VENDORS
from tests.journal.databases import database_on
from tests.runner.support import run


@pytest.mark.django_db
def test_a_note_does_not_wait_for_a_busy_database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: pytest.fail("it waits"))

    def refusing(error: Exception) -> Any:
        def note(**changes: Any) -> bool:
            raise error

        return SimpleNamespace(note=note)

    writer = Writer(Run(), connection=JournalConnection("default"))
    writer.note(refusing(OperationalError("database is locked")), {})
    with pytest.raises(JournalLost):
        writer.note(refusing(DataError("too long")), {})


ALIAS = "own"
# What SQLite says if its file cannot be read.
DISK_ERROR: Any = OperationalError("disk I/O error")
DISK_ERROR.sqlite_errorcode = sqlite3.SQLITE_IOERR


@pytest.fixture(params=VENDORS)
def alias(request: pytest.FixtureRequest, tmp_path: Path, django_db_blocker: DjangoDbBlocker) -> Iterator[str]:
    """Create a database with the tables of the history, which this thread and that of the journal can connect to."""
    with django_db_blocker.unblock(), database_on(request.param, tmp_path) as settings:
        connections.settings[ALIAS] = settings
        connections.configure_settings(connections.settings)
        try:
            with connections[ALIAS].schema_editor() as editor:
                for model in (Run, StepRun, Call):
                    editor.create_model(model)
            yield ALIAS
        finally:
            connections[ALIAS].close()
            del connections[ALIAS], connections.settings[ALIAS]


class Transition:
    """Ends the step "one" of a new run and starts another one, in one transaction."""

    def __init__(self, alias: str, *, then: str = "two") -> None:
        self.run = Run(id=uuid.uuid4().hex, owner="me", pid=1, started_at=timezone.now())
        self.run.save(using=alias)
        self.writer = Writer(self.run, connection=JournalConnection(alias))
        self.one, self.then = self.new_step("one"), self.new_step(then)
        self.writer.insert(self.one)

    def new_step(self, step_id: str) -> StepRun:
        return StepRun(run=self.run, step_id=step_id, attempt=1, run_attempt=1, started_at=timezone.now())

    def write(self) -> None:
        changes = {"finished_at": timezone.now()}
        self.writer.execute_together(
            [
                lambda: self.writer.finish(self.one, StepStatus.SUCCEEDED, changes, before="running"),
                lambda: self.writer.insert(self.then),
            ]
        )

    def statuses(self) -> list[tuple[int, str]]:
        rows = StepRun.objects.using(self.writer.alias).filter(run=self.run).order_by("pk")
        return list(rows.values_list("pk", "status"))


@contextmanager
def broken_at(alias: str, point: int) -> Iterator[list[int]]:
    """Break the connection at one point before or after a statement or a commit; yield the points that are left."""
    left = [point]
    connection: Any = connections[alias]
    commit = connection._commit

    def reach() -> None:
        left[0] -= 1
        if left[0] == 0:
            cut(connection)
            raise OperationalError("the connection was lost") from DISK_ERROR

    def around(execute: Any, *given: Any) -> Any:
        reach()
        result = execute(*given)
        reach()
        return result

    def commit_between() -> None:
        reach()
        commit()
        reach()

    connection._commit = commit_between
    try:
        with connection.execute_wrapper(around):
            yield left
    finally:
        connection._commit = commit


def cut(connection: Any) -> None:
    """Cut the connection to a server, without a word to its driver."""
    if connection.vendor != "sqlite":
        driver = connection.connection
        descriptor = driver.fileno() if hasattr(driver, "fileno") else driver._sock.fileno()
        with socket.socket(fileno=os.dup(descriptor)) as line:
            line.shutdown(socket.SHUT_RDWR)


@pytest.mark.slow
def test_a_shared_transaction_is_committed_once_wherever_the_connection_breaks(alias: str) -> None:
    for point in itertools.count(1):
        transition = Transition(alias)
        with broken_at(alias, point) as left:
            transition.write()
        assert transition.statuses() == [(transition.one.pk, "succeeded"), (transition.then.pk, "running")], point
        if left[0] > 0:
            break
    # Before and after two statements and a commit.
    assert point > 6


@pytest.mark.slow
def test_a_refused_start_leaves_the_end_of_the_step_before_it(alias: str) -> None:
    transition = Transition(alias, then="one")
    with pytest.raises(JournalLost):
        transition.write()
    assert transition.statuses() == [(transition.one.pk, "succeeded")]


@pytest.mark.slow
def test_a_step_in_a_sequence_costs_one_commit(
    alias: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    monkeypatch.setattr(conf, "journal_alias", lambda: alias)
    # As long as it takes: the next start ends the wait.
    monkeypatch.setattr("django_runbook.journal.write_queue._NEIGHBOUR_SECONDS", 60.0)
    counts = Counter[str]()
    wrapper: Any = type(connections[alias])
    commit = wrapper._commit

    def count_commit(connection: Any) -> None:
        counts["commits"] += connection.alias == alias
        commit(connection)

    monkeypatch.setattr(wrapper, "_commit", count_commit)
    insert, finish = StepRun.insert, StepRun.finish

    def count(write: Any, row: StepRun, *args: Any, **more: Any) -> Any:
        # A statement outside of a transaction is a commit of its own.
        counts["writes"] += 1
        counts["commits"] += not connections[alias].in_atomic_block
        return write(row, *args, **more)

    monkeypatch.setattr(StepRun, "insert", lambda row, **more: count(insert, row, **more))
    monkeypatch.setattr(StepRun, "finish", lambda row, *args, **more: count(finish, row, *args, **more))
    step_count = 30
    assert run(tmp_path, "steps:\n" + "  - noop\n" * step_count, inline=True).exit_code == 0
    assert counts["writes"] == 2 * step_count
    assert counts["commits"] <= 1.1 * step_count
    statuses = Counter(StepRun.objects.using(alias).values_list("status", flat=True))
    assert statuses == {"succeeded": step_count}
