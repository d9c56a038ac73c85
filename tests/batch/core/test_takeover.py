"""Tests takeovers from other processes."""

from __future__ import annotations

import os
import re
import signal
from typing import Any

import pytest

from django_runbook.batch.core import takeover
from tests.batch.commands import (
    CountItems,
    Patient,
    Whole,
    another,
    call,
    errors_of,
    is_waiting,
    once,
)
from tests.batch.engines import Child, Engine
from tests.batchapp.models import (
    Item,
    Ledger,
)
from tests.patience import scaled, wait_until


def test_the_limit_of_a_takeover_does_not_outlive_it(postgresql: Engine) -> None:
    timeouts = []

    def look(item: Item) -> None:
        with postgresql.connection.cursor() as cursor:
            cursor.execute("SHOW lock_timeout")
            timeouts.append(cursor.fetchone())

    postgresql.fill(4)
    call(postgresql, Whole(look), "--limit", 2)
    call(postgresql, Whole(look), "--limit", 2)
    assert timeouts == 4 * [("0",)]


class Suspended(Patient):
    """Is suspended between its third and fourth batch, where it holds no transaction."""

    batch_count = 0

    def throttle(self) -> float | None:
        self.batch_count += 1
        if self.batch_count == 3:
            os.kill(os.getpid(), signal.SIGSTOP)
        return None


@pytest.mark.slow
def test_a_process_suspended_during_a_takeover_commits_nothing_more(engine: Engine, capfd: Any) -> None:
    engine.fill(60)
    with engine.forked(engine.work(Suspended(), "--batch-size", 2)) as zombie:
        _wait_until_suspended(zombie)
        before = Ledger.objects.using(engine.alias).count()
        assert before == 6
        assert engine.run(Suspended(), "--limit", 10, "--batch-size", 5) == 0
        assert Ledger.objects.using(engine.alias).count() == before + 10
        zombie.kill(signal.SIGCONT)
        assert zombie.wait() == 1
        assert Ledger.objects.using(engine.alias).count() == before + 10
    assert "has taken over test_takeover; this process stops" in capfd.readouterr().err
    assert engine.run(Suspended(), "--batch-size", 50) == 0
    assert engine.problems(60) == []


def _wait_until_suspended(child: Child) -> None:
    _, status = os.waitpid(child.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status)


class Stopping(CountItems):
    """Is stopped inside its transaction."""

    idle_limit_seconds = scaled(3.0)


@pytest.mark.slow
@pytest.mark.parametrize("vendor", ["postgresql", "mariadb"])
def test_a_takeover_waits_up_to_the_idle_limit_for_a_suspended_process(
    request: pytest.FixtureRequest, vendor: str, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    engine: Engine = request.getfixturevalue(vendor)
    monkeypatch.setattr(takeover, "_LOCK_WAIT_SECONDS", 1)
    engine.fill(10)
    stopped = Stopping(once(lambda: os.kill(os.getpid(), signal.SIGSTOP), at=5))
    with engine.forked(engine.work(stopped, "--batch-size", 3)) as zombie:
        _wait_until_suspended(zombie)
        err = errors_of(engine, Stopping())
        assert f"the last owner of the work was test_takeover, process {zombie.pid} on " in err
        assert engine.problems(10) == []
        engine.connection.close()
        zombie.kill(signal.SIGCONT)
        assert zombie.wait() == 1
    assert engine.problems(10) == []
    assert "this process stops" in capfd.readouterr().err


HELD = {
    "sqlite": ("BEGIN IMMEDIATE", r"holds the database; the last owner of the work was commands, process \d+ .*\n"),
    "postgresql": (
        "BEGIN; UPDATE django_runbook_checkpoint SET holder = holder",
        "holds the checkpoint; .*ends a batch that is idle",
    ),
    "mariadb": (
        "UPDATE django_runbook_checkpoint SET holder = 'x'",
        "holds the checkpoint; .*ends a batch that is idle",
    ),
}


def test_a_waiting_takeover_reports_the_reason(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    statement, words = HELD[engine.vendor]
    monkeypatch.setattr(takeover, "_LOCK_WAIT_SECONDS", 1)
    engine.fill(4)
    errors_of(engine, Patient(), "--limit", 1)
    engine.connection.close()
    if engine.vendor == "sqlite":
        monkeypatch.setitem(engine.connection.settings_dict["OPTIONS"], "timeout", 0)
    with another(engine) as cursor:

        class Waiting(Patient):
            # The same work is that of the same module.
            __module__ = Patient.__module__

            def wait(self, seconds: float) -> bool:
                cursor.execute("ROLLBACK")
                return False

        cursor.execute("SET autocommit = 0") if engine.vendor == "mariadb" else None
        cursor.execute(statement)
        err = errors_of(engine, Waiting())
    assert re.fullmatch(f"waiting: an open transaction {words}.*", err, re.DOTALL)
    assert engine.problems(4) == []
    engine.connection.close()


@pytest.mark.slow
def test_sigterm_ends_the_wait_for_the_checkpoint(
    postgresql: Engine, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    monkeypatch.setattr(takeover, "_LOCK_WAIT_SECONDS", 1)
    postgresql.fill(4)
    errors_of(postgresql, Patient(), "--limit", 1)
    with another(postgresql) as cursor:
        cursor.execute("BEGIN; UPDATE django_runbook_checkpoint SET holder = holder")
        with postgresql.forked(postgresql.work(Patient())) as child:
            wait_until(lambda: is_waiting(postgresql), what="the takeover")
            child.kill(signal.SIGTERM)
            assert child.wait() == 128 + signal.SIGTERM
    assert "stopped (SIGTERM); 0 done; the next run continues from there" in capfd.readouterr().err
