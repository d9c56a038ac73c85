"""Checks that inline steps do not affect later steps."""

from __future__ import annotations

import gc
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, connections, transaction
from django.utils import timezone, translation
from pytest_django import DjangoDbBlocker

from django_runbook.process.connections import KnownConnections
from django_runbook.process.snapshot import Snapshot
from tests.batch.databases import alias_on
from tests.runner.support import run


def state() -> dict[str, Any]:
    umask = os.umask(0)
    os.umask(umask)
    return {
        "signals": [
            signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)
        ],
        "directory": Path.cwd(),
        "environ": dict(os.environ),
        "language": translation.get_language(),
        "time zone": timezone.get_current_timezone_name(),
        "streams": (sys.stdin, sys.stdout, sys.stderr),
        "umask": umask,
        "wakeup": signal.set_wakeup_fd(-1),
    }


@pytest.mark.parametrize(
    "how",
    [
        "install_handler",
        "change_directory",
        "change_environment",
        "activate",
        "change_umask",
        "replace_streams",
        "write_from_thread",
    ],
)
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_the_process_is_as_before(tmp_path: Path, how: str) -> None:
    before = state()
    report = run(tmp_path, f"steps: [misbehave {how}, say still here]")
    assert report.statuses == {"misbehave": "succeeded", "say": "succeeded"}
    assert report.output("say") == ["still here"]
    assert state() == before


@pytest.mark.django_db(transaction=True)
def test_a_closed_connection_does_not_touch_the_next_step(tmp_path: Path) -> None:
    report = run(tmp_path, "steps: [misbehave close_connection, migrate --check]")
    assert report.statuses["misbehave"] == "succeeded"


@pytest.mark.parametrize("max_age", [0, None, 60])
@pytest.mark.parametrize("engine", ["sqlite", "postgresql", "mariadb"])
def test_a_used_connection_is_closed_after_the_step(
    tmp_path: Path, django_db_blocker: DjangoDbBlocker, engine: str, max_age: int | None
) -> None:
    with (
        django_db_blocker.unblock(),
        KnownConnections() as known,
        alias_on(engine, tmp_path, CONN_MAX_AGE=max_age) as alias,
    ):
        before = Snapshot.capture(known)
        connections[alias].ensure_connection()
        connections[alias].tenant = "left behind"  # type: ignore[attr-defined]  # as django-tenants does
        assert before.restore() == []
        assert connections[alias].connection is None
        assert not hasattr(connections[alias], "tenant")


@pytest.mark.parametrize("engine", ["sqlite", "postgresql", "mariadb"])
@pytest.mark.parametrize("is_open", [False, True])
def test_a_raw_connection_that_was_closed_is_a_problem_if_a_transaction_was_open(
    tmp_path: Path, django_db_blocker: DjangoDbBlocker, engine: str, *, is_open: bool
) -> None:
    with django_db_blocker.unblock(), KnownConnections() as known, alias_on(engine, tmp_path) as alias:
        before = Snapshot.capture(known)
        connections[alias].ensure_connection()
        if is_open:
            transaction.atomic(using=alias).__enter__()
        connections[alias].connection.close()
        problems = before.restore()
        message = f'it closed the connection to the database "{alias}" without Django, or lost it'
        assert (message in problems, message in before.take_warnings()) == (is_open, not is_open)
        assert before.take_warnings() == ()
        assert connections[alias].connection is None


def test_attributes_of_a_connection_are_kept(tmp_path: Path, django_db_blocker: DjangoDbBlocker) -> None:
    with django_db_blocker.unblock(), alias_on("sqlite", tmp_path) as alias:
        connection: Any = connections[alias]
        connection.ensure_connection()
        connection.tenant = "public"
        with KnownConnections() as known:
            before = Snapshot.capture(known)
            connection.ensure_connection()
            connection.tenant = "acme"
            connection.execute_wrappers.append(print)
            assert before.restore() == []
        assert (connection.connection, connection.tenant, connection.execute_wrappers) == (None, "public", [])


@pytest.mark.parametrize("how", ["open_transaction", "raw_transaction", "autocommit_off"])
@pytest.mark.django_db(transaction=True)
def test_a_transaction_that_was_left_open_is_rolled_back_and_fails_the_step(tmp_path: Path, how: str) -> None:
    connection.ensure_connection()
    report = run(tmp_path, f"steps: [misbehave {how}, noop]", keep_going=True)
    assert report.statuses == {"misbehave": "failed", "noop": "succeeded"}
    assert "rolled back" in report.result("misbehave")["failure"]["message"]
    assert not connection.in_atomic_block
    assert connection.get_autocommit()
    assert "left_behind" not in connection.introspection.table_names()


@pytest.mark.django_db
def test_a_transaction_around_the_run_survives_it(tmp_path: Path) -> None:
    from django.contrib.sites.models import Site

    Site.objects.create(domain="kept.example.com", name="kept")
    report = run(tmp_path, "steps: [misbehave open_transaction, noop]", keep_going=True)
    assert report.statuses["misbehave"] == "failed"
    assert connections["default"].in_atomic_block
    assert Site.objects.filter(name="kept").exists()


def test_the_garbage_collector_is_as_before(tmp_path: Path) -> None:
    before = gc.get_freeze_count()
    run(tmp_path, "steps: [noop]")
    assert gc.get_freeze_count() == before


@pytest.mark.parametrize("how", ["ask", "ask_for_password"])
def test_a_command_that_prompts_fails_immediately(tmp_path: Path, how: str) -> None:
    report = run(tmp_path, f"steps: [misbehave {how}]")
    assert report.exit_code == 1
    assert "--no-input" in report.result("misbehave")["failure"]["message"]


@pytest.mark.parametrize("how", ["read_all", "read_descriptor"])
def test_standard_input_is_empty(tmp_path: Path, how: str) -> None:
    assert run(tmp_path, f"steps: [misbehave {how}]").exit_code == 0
