"""Runs the checks of settings and locks of ``manage.py check``."""

from __future__ import annotations

import importlib
import pwd
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core import checks
from django.core.management import call_command
from django.core.management.base import BaseCommand, SystemCheckError
from django.db import connections

from django_runbook import system_checks as checks_of_ours
from django_runbook.locks.base import Holder
from django_runbook.locks.file import FileLock
from django_runbook.system_checks import check_idempotent, check_isolation, check_locks
from tests.locks.backends import alias_on


class Own:
    """Makes locks, and has its own check."""

    def __init__(self, *, what: str) -> None:
        self.what = what

    def check(self) -> list[checks.CheckMessage]:
        return [checks.Warning(f"asked by {self.what}", id="own.W001")]

    def __call__(self, name: str) -> FileLock:
        return FileLock(name, directory=Path("/nonexistent"))


class Least:
    """Implements only the required methods of a lock and its backend."""

    name = ""

    def __init__(self, *, what: str) -> None:
        self.what = what

    def __call__(self, name: str) -> Least:
        return self

    def acquire(self) -> Holder | None:
        return None

    def is_held(self) -> bool:
        return True

    def release(self) -> None:
        """Release nothing."""


@pytest.fixture(autouse=True)
def the_command_check_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks_of_ours, "_is_run_by_check", lambda: True)


def found(settings: Any, value: object) -> list[tuple[str, str]]:
    settings.RUNBOOK = {"LOCK": value}
    return [(str(message.id), message.msg) for message in check_locks(None)]


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        pytest.param("database", 'the database "default" (SQLite) has no named locks', id="database without locks"),
        pytest.param("redis", 'the redis locks need the option "url"', id="redis without its address"),
        pytest.param("nowhere.Locks", 'the backend "nowhere.Locks" cannot be imported', id="no backend"),
    ],
)
def test_an_invalid_setting_is_an_error(settings: Any, value: object, problem: str) -> None:
    ((code, text),) = found(settings, value)
    assert code == "django_runbook.E002"
    assert problem in text


def test_redis_locks_without_the_package_are_an_error(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis", None)
    ((code, text),) = found(settings, {"BACKEND": "redis", "OPTIONS": {"url": "redis://127.0.0.1"}})
    assert code == "django_runbook.E002"
    assert "pip install django-runbook[redis]" in text


@pytest.mark.parametrize("value", ["auto", "file", {"BACKEND": "redis", "OPTIONS": {"url": "redis://nowhere"}}])
def test_a_valid_setting_is_not_reported(settings: Any, value: object) -> None:
    assert found(settings, value) == []


@pytest.mark.parametrize(
    ("host", "count"),
    [
        ("", 0),
        ("localhost", 0),
        ("127.0.0.1", 0),
        ("::1", 0),
        ("/run/postgresql", 0),
        ("db.example.com", 1),
        ("10.0.0.3", 1),
    ],
)
def test_file_locks_with_a_database_on_another_host_are_a_warning(
    settings: Any, monkeypatch: pytest.MonkeyPatch, host: str, count: int
) -> None:
    monkeypatch.setitem(connections.settings["default"], "HOST", host)
    reported = found(settings, "file")
    assert [code for code, _ in reported] == ["django_runbook.W001"] * count
    assert all(f'on another host, "{host}"' in text for _, text in reported)


@pytest.mark.slow
@pytest.mark.parametrize(("changes", "count"), [({}, 0), ({"DISABLE_SERVER_SIDE_CURSORS": True}, 1)])
def test_a_connection_pooler_is_reported(settings: Any, changes: dict[str, Any], count: int) -> None:
    with alias_on("postgresql", **changes) as alias:
        reported = found(settings, {"BACKEND": "database", "OPTIONS": {"alias": alias}})
    assert [code for code, _ in reported] == ["django_runbook.I001"] * count
    assert all("each held lock keeps one of its connections" in text for _, text in reported)


@pytest.mark.parametrize(
    ("location", "count"),
    [
        ("redis://127.0.0.1:6379/0", 1),
        ("redis://127.0.0.1:6379/1", 0),
        ("redis://nowhere,redis://127.0.0.1:6379/0", 1),
        (["redis://nowhere", "redis://127.0.0.1:6379/0"], 1),
        (None, 0),
    ],
    ids=str,
)
def test_redis_locks_that_clearing_a_cache_would_free_are_a_warning(
    settings: Any, location: object, count: int
) -> None:
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": location}}
    reported = found(settings, {"BACKEND": "redis", "OPTIONS": {"url": "redis://127.0.0.1:6379/0"}})
    assert [code for code, _ in reported] == ["django_runbook.W002"] * count


def test_the_check_of_a_custom_backend_is_reported(settings: Any) -> None:
    assert found(settings, "tests.test_system_checks.Own") == [("own.W001", "asked by manage.py check")]


def test_a_minimal_custom_backend_is_a_warning(settings: Any) -> None:
    ((code, text),) = found(settings, "tests.test_system_checks.Least")
    assert code == "django_runbook.W003"
    assert text.startswith(
        'The locks of the backend "tests.test_system_checks.Least" have no keep() and no probe() and no discard()'
    )


@pytest.mark.parametrize("value", ["auto", "file"])
def test_file_locks_without_a_home_are_an_error(settings: Any, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    def unknown(uid: int) -> None:
        raise KeyError(uid)

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    # Locks of a database in a file are next to it.
    monkeypatch.setitem(connections.settings["default"], "NAME", ":memory:")
    ((code, text),) = found(settings, value)
    assert code == "django_runbook.E002"
    assert 'set RUNBOOK["LOCK"]["OPTIONS"]["directory"]' in text
    assert found(settings, {"BACKEND": "file", "OPTIONS": {"directory": "/tmp/a folder of the project"}}) == []


def test_a_folder_that_cannot_be_created_is_an_error(settings: Any) -> None:
    ((code, text),) = found(settings, {"BACKEND": "file", "OPTIONS": {"directory": "/dev/null/locks"}})
    assert code == "django_runbook.E002"
    assert "/dev/null/locks cannot be created" in text


def test_an_unknown_idempotent_command_is_a_warning(settings: Any) -> None:
    settings.RUNBOOK = {"IDEMPOTENT": ["say", "clearsesions"]}
    (message,) = check_idempotent(None)
    assert (message.id, message.hint) == ("django_runbook.W004", 'Did you mean "clearsessions"?')
    assert 'names the unknown command "clearsesions"' in message.msg
    assert check_idempotent([]) == []
    settings.RUNBOOK = {"IDEMPOTENT": 5}
    assert check_idempotent(None) == []


def test_an_invalid_setting_is_reported_once(settings: Any) -> None:
    settings.RUNBOOK = {"LOCKS": "file"}
    assert check_locks(None) == []


def test_other_commands_and_checks_of_single_apps_are_not_slowed_down(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.RUNBOOK = {"LOCK": "nowhere.Locks"}
    assert check_locks([]) == []
    monkeypatch.undo()
    # Another test in this process may have imported it.
    importlib.import_module("django.core.management.commands.check")
    assert check_locks(None) == []


def test_only_the_command_check_gets_messages(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    settings.RUNBOOK = {"LOCK": "nowhere.Locks"}
    with pytest.raises(SystemCheckError, match="E002"):
        call_command("check")

    class Other(BaseCommand):
        def handle(self, *args: Any, **options: Any) -> None:
            """Runs system checks, as each command does."""

    call_command(Other(), skip_checks=False)


def test_a_database_in_memory_keeps_steps_in_the_process_of_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    assert check_isolation(None) == []
    monkeypatch.setitem(connections.settings["replica"], "NAME", ":memory:")
    (message,) = check_isolation(None)
    assert (message.id, 'the database "replica" is in memory' in message.msg) == ("django_runbook.I002", True)
