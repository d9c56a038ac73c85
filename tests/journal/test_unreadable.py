"""Tests the error of a command whose database is unavailable or has no tables."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError, connections
from django.db.backends.base.introspection import BaseDatabaseIntrospection
from pytest_django import DjangoDbBlocker

from django_runbook import conf
from django_runbook.exceptions import JournalLost
from django_runbook.journal import unreadable
from django_runbook.journal.connection import JournalConnection
from django_runbook.models import Run
from django_runbook.models.calls import Call
from tests.batch.databases import VENDORS
from tests.journal.databases import database_on
from tests.mariadb_settings import MARIADB
from tests.postgres_settings import POSTGRES

# No server listens on this port.
NOWHERE = {"HOST": "127.0.0.1", "PORT": "1"}
ALIAS = "away"


def settings_of(vendor: str, folder: Path) -> dict[str, Any]:
    if vendor == "sqlite":
        return {"ENGINE": "django.db.backends.sqlite3", "NAME": str(folder / "nowhere" / "db.sqlite3")}
    return {**(POSTGRES if vendor == "postgresql" else MARIADB), **NOWHERE}


@pytest.fixture
def journal_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, django_db_blocker: DjangoDbBlocker) -> Iterator[Any]:
    """Move the journal to a database with these settings."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(conf, "journal_alias", lambda: ALIAS)
    (tmp_path / "noop.yml").write_text("steps: [noop]\n")

    def use(settings: dict[str, Any]) -> None:
        connections.settings[ALIAS] = settings
        connections.configure_settings(connections.settings)

    with django_db_blocker.unblock():
        yield use
    connections[ALIAS].close()
    del connections[ALIAS], connections.settings[ALIAS]


def error_of(*words: str) -> CommandError:
    with pytest.raises(CommandError) as raised:
        call_command(*words, stdout=io.StringIO(), stderr=io.StringIO())
    return raised.value


READING = [
    ("run_runbook", "noop.yml", "--resume"),
    ("show_runs",),
    ("show_calls",),
    ("mail_run_report", "--to", "ops@example.com"),
]
PRUNING = ("prune_runs", "--database", ALIAS)


@pytest.mark.parametrize("vendor", VENDORS)
def test_an_unavailable_database_at_the_start_is_reported_in_one_line(
    journal_in: Any, tmp_path: Path, vendor: str
) -> None:
    journal_in(settings_of(vendor, tmp_path))
    for words in [("run_runbook", "noop.yml"), *READING]:
        error = error_of(*words)
        what = "the journal cannot be read: " if words in READING else "the journal cannot be written: "
        assert str(error).startswith(what), words
        assert str(error).splitlines() == [str(error)], words
        assert error.returncode == 1, words
        connections[ALIAS].close()


def test_missing_tables_are_reported(journal_in: Any, tmp_path: Path) -> None:
    with database_on("sqlite", tmp_path) as settings:
        journal_in(settings)
        messages = {words[0]: error_of(*words) for words in READING}
    missing = "the tables of django_runbook do not exist (migrate creates them)"
    assert {name: str(error) for name, error in messages.items()} == {
        "run_runbook": f"nothing to resume: {missing}; start a new run, without --resume",
        "show_runs": f"the journal cannot be read: {missing}",
        "show_calls": f"the journal cannot be read: {missing}",
        "mail_run_report": f"the journal cannot be read: {missing}",
    }
    assert messages["run_runbook"].returncode == 2


@pytest.mark.parametrize("vendor", VENDORS)
def test_tables_of_another_version_are_reported(journal_in: Any, tmp_path: Path, vendor: str) -> None:
    with database_on(vendor, tmp_path) as settings:
        journal_in(settings)
        with connections[ALIAS].cursor() as cursor:
            for model in unreadable.HISTORY:
                cursor.execute(f"CREATE TABLE {model._meta.db_table} (id varchar(32))")
        messages = [str(error_of(*words)) for words in (*READING, PRUNING)]
        with pytest.raises(JournalLost) as lost:
            JournalConnection(ALIAS, patience_seconds=0).execute(
                lambda is_repeated: Run.objects.using(ALIAS).filter(name="a").count()
            )
        connections[ALIAS].close()
    outdated = "the tables of django_runbook are of another version (migrate updates them)"
    assert messages == [f"the journal cannot be read: {outdated}"] * len([*READING, PRUNING])
    assert str(lost.value).endswith(outdated)


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE {} RENAME COLUMN refused_version TO other",
        # Each creates all tables, so one is enough for `make test-fast`.
        pytest.param("ALTER TABLE {} RENAME TO other", marks=pytest.mark.slow),
    ],
)
def test_a_run_is_not_resumed_without_the_table_of_calls(journal_in: Any, tmp_path: Path, change: str) -> None:
    table = Call._meta.db_table
    back = change.replace("refused_version TO other", "other TO refused_version").replace(
        "{} RENAME TO other", "other RENAME TO {}"
    )
    with database_on("sqlite", tmp_path) as settings:
        journal_in(settings)
        call_command("migrate", database=ALIAS, verbosity=0)
        (tmp_path / "noop.yml").write_text("steps: [{id: one, command: fail}]")
        assert error_of("run_runbook", "noop.yml").returncode == 1
        before = list(Run.objects.using(ALIAS).values())
        for words in (("run_runbook", "noop.yml", "--resume"), ("show_calls",), PRUNING):
            with connections[ALIAS].cursor() as cursor:
                cursor.execute(change.format(table))
            error = error_of(*words)
            assert "(migrate " in str(error)
            assert error.returncode == 1
            with connections[ALIAS].cursor() as cursor:
                cursor.execute(back.format(table))
        assert list(Run.objects.using(ALIAS).values()) == before
        (tmp_path / "noop.yml").write_text("steps: [{id: one, command: noop}]")
        call_command("run_runbook", "noop.yml", "--resume", stdout=io.StringIO(), stderr=io.StringIO())
        assert Run.objects.using(ALIAS).get().status == "succeeded"
        connections[ALIAS].close()


def test_the_check_for_tables_waits_for_an_unavailable_database(
    journal_in: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("django_runbook.journal.connection._RETRY_SECONDS", 0.001)
    real, calls = BaseDatabaseIntrospection.table_names, []

    def table_names(self: Any, *args: Any, **more: Any) -> Any:
        calls.append(self)
        if len(calls) in {2, 5, 6}:
            raise OperationalError("database is locked")
        return real(self, *args, **more)

    monkeypatch.setattr(BaseDatabaseIntrospection, "table_names", table_names)
    with database_on("sqlite", tmp_path) as settings:
        journal_in(settings)
        errors = io.StringIO()
        call_command("run_runbook", "noop.yml", stdout=io.StringIO(), stderr=errors)
    assert "this run was not recorded" in errors.getvalue()
    assert len(calls) > 6
