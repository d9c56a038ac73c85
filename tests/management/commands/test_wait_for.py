"""Targets in, reports and the exit code out."""

from __future__ import annotations

import io
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.cache.backends.base import BaseCache
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import OperationalError, connection, connections
from django.db.migrations.recorder import MigrationRecorder

from django_runbook.management.commands.wait_for import Command
from tests.batch.databases import alias_on, run
from tests.batch.support import read_line, started
from tests.patience import scaled
from tests.postgres_settings import POSTGRES
from tests.services import require_postgres

CACHES = {
    "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
    "nothing": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"},
    "forgetful": {"BACKEND": "tests.management.commands.test_wait_for.Forgetful"},
    "down": {"BACKEND": "tests.management.commands.test_wait_for.Down"},
}


class Forgetful(BaseCache):
    """Swallows its errors, as some backends can be configured to."""

    def __init__(self, location: str, params: dict[str, Any]) -> None:
        super().__init__(params)

    def set(self, *args: Any, **kwargs: Any) -> None:
        """Keeps nothing."""

    def get(self, *args: Any, **kwargs: Any) -> None:
        """Finds nothing."""

    def delete(self, *args: Any, **kwargs: Any) -> bool:
        return False


class Down(Forgetful):
    """Cannot be reached."""

    def set(self, *args: Any, **kwargs: Any) -> None:
        raise RuntimeError("connection refused\nand more")


@pytest.fixture(autouse=True)
def all_caches(settings: Any) -> None:
    settings.CACHES = CACHES


@pytest.fixture(name="add_alias")
def databases_of_one_test(django_db_blocker: Any) -> Iterator[Any]:
    added: list[str] = []

    def add(alias: str, **settings: Any) -> None:
        added.append(alias)
        connections.settings[alias] = settings
        connections.configure_settings(connections.settings)

    with django_db_blocker.unblock():
        yield add
        for alias in added:
            connections[alias].close()
            del connections[alias], connections.settings[alias]


def wait_for(*tokens: str, **options: Any) -> list[str]:
    stdout = io.StringIO()
    call_command("wait_for", *tokens, stdout=stdout, **options)
    return stdout.getvalue().splitlines()


@pytest.mark.django_db(databases=["default", "replica"])
@pytest.mark.parametrize(
    ("words", "output"),
    [
        pytest.param("database", ['database "default" is available'], id="one"),
        pytest.param("cache nothing", ['cache "nothing" is available'], id="a cache that keeps nothing by design"),
        pytest.param("migrations", ['migrations "default" is available'], id="migrations"),
        pytest.param(
            "cache database replica default cache",
            ['cache "default" is available', 'database "replica" is available', 'database "default" is available'],
            id="several, each once",
        ),
        pytest.param(
            "database replica database",
            ['database "replica" is available', 'database "default" is available'],
            id="a kind again, without an alias",
        ),
    ],
)
def test_available_targets_are_reported(words: str, output: list[str]) -> None:
    assert wait_for(*words.split()) == output


@pytest.mark.parametrize(
    ("alias", "reason"),
    [("forgetful", "it does not return a stored value"), ("down", "connection refused")],
)
def test_a_broken_cache_is_unavailable(alias: str, reason: str) -> None:
    with pytest.raises(CommandError) as caught:
        wait_for("cache", "default", alias, "--timeout=0")
    assert str(caught.value) == f'timed out after 0s waiting for:\n  cache "{alias}": {reason}'
    assert caught.value.returncode == 1


@pytest.mark.django_db
def test_unapplied_migrations_are_named() -> None:
    MigrationRecorder(connection).record_unapplied("sessions", "0001_initial")
    with pytest.raises(CommandError, match=r"unapplied: sessions\.0001_initial$"):
        wait_for("migrations", "--timeout=0")


@pytest.mark.django_db
def test_a_long_list_of_migrations_is_shortened() -> None:
    MigrationRecorder.Migration.objects.all().delete()
    with pytest.raises(CommandError, match=r"unapplied: .*, .*, .*, \d+ more$"):
        wait_for("migrations", "--timeout=0")


def test_a_target_that_becomes_available_ends_the_wait(
    tmp_path: Path, add_alias: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "later"
    add_alias("late", ENGINE="django.db.backends.sqlite3", NAME=folder / "late.sqlite3")
    wait = Command.wait

    def wait_for_the_folder(command: Command, seconds: float) -> bool:
        folder.mkdir(exist_ok=True)
        return wait(command, seconds)

    monkeypatch.setattr(Command, "wait", wait_for_the_folder)
    assert wait_for("cache", "database", "late", "--interval=0.05s") == [
        'cache "default" is available',
        'database "late" is not available yet: unable to open database file',
        'database "late" is available',
    ]


def test_migrations_wait_for_their_database(tmp_path: Path, add_alias: Any) -> None:
    add_alias("late", ENGINE="django.db.backends.sqlite3", NAME=tmp_path / "later" / "late.sqlite3")
    with pytest.raises(CommandError, match='migrations "late": unable to open database file'):
        wait_for("migrations", "late", "--timeout=0.02s", "--interval=0.01s")


@pytest.mark.slow  # the client library waits for at least two seconds
@pytest.mark.parametrize("kind", ["database", "migrations"])
def test_a_server_that_never_responds_does_not_delay_the_timeout(kind: str, add_alias: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        host, port = silent.getsockname()
        add_alias("silent", ENGINE="django.db.backends.postgresql", HOST=host, PORT=port, NAME="x", USER="x")
        with pytest.raises(CommandError, match=rf'{kind} "silent": .*timeout'):
            wait_for(kind, "silent", "--timeout=0.1s")


@pytest.mark.slow
def test_a_connection_pool_is_bypassed(add_alias: Any) -> None:
    require_postgres()
    add_alias("pooled", **POSTGRES, OPTIONS={"pool": {"min_size": "what no pool takes"}})
    assert wait_for("database", "pooled", "--timeout=0") == ['database "pooled" is available']


@pytest.mark.slow
def test_a_lost_connection_is_reopened(tmp_path: Path, django_db_blocker: Any) -> None:
    with django_db_blocker.unblock(), alias_on("postgresql", tmp_path) as alias:
        number = run(alias, "SELECT pg_backend_pid()")
        other = connections[alias].copy()
        with other.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s)", [number])
        other.close()
        # In that database there are none, which is found out by the second look.
        with pytest.raises(CommandError, match="unapplied: "):
            wait_for("migrations", alias, f"--timeout={scaled(0.5)}s", "--interval=0.05s")


class Impatient(Command):
    """Notes how long it would wait."""

    def __init__(self) -> None:
        super().__init__()
        self.waited: list[float] = []

    def wait(self, seconds: float) -> bool:
        self.waited.append(seconds)
        return super().wait(min(seconds, 0.005))


def test_the_last_check_is_at_the_timeout() -> None:
    command = Impatient()
    with pytest.raises(CommandError, match=r"after 0\.05s"):
        call_command(command, "cache", "down", "--timeout=0.05s", "--interval=1h", stdout=io.StringIO())
    assert max(command.waited) <= 0.05


def test_a_system_check_that_needs_the_target_does_not_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(self: Command, **kwargs: Any) -> None:
        raise OperationalError("no database yet")

    monkeypatch.setattr(Command, "check", fail)
    Command().run_from_argv(["manage.py", "wait_for", "cache"])
    assert capsys.readouterr().out == 'cache "default" is available\n'


def test_a_dry_run_checks_once_and_succeeds() -> None:
    assert wait_for("cache", "default", "down", "--dry-run") == [
        'cache "default" is available',
        'cache "down" is not available yet: connection refused',
    ]


def test_a_stop_of_the_runner_ends_the_wait() -> None:
    assert wait_for("cache", "down", "--timeout=1h", stopping=lambda: True) == [
        'cache "down" is not available yet: connection refused'
    ]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        pytest.param("cahce", '"cahce" is neither a kind of target nor an alias; did you mean "cache"?', id="misspelt"),
        pytest.param("xyz", "choose from database, cache, migrations, default, ", id="like nothing"),
        pytest.param("default", '"default" must follow one of database, cache, migrations', id="no kind"),
        pytest.param("cache replica", 'CACHES has no alias "replica"; choose from default, ', id="of the other kind"),
        pytest.param("database down", 'DATABASES has no alias "down"; choose from default, ', id="of the other kind 2"),
        pytest.param("cache --interval=0", "must be longer than 0s", id="no interval"),
        pytest.param("cache --timeout=soon", '"soon" is not a duration (examples: 90s', id="no duration"),
    ],
)
def test_an_invalid_target_is_refused(words: str, message: str) -> None:
    with pytest.raises(CommandError) as caught:
        wait_for(*words.split())
    assert message in str(caught.value)


@pytest.mark.slow
def test_a_signal_ends_the_wait(tmp_path: Path) -> None:
    code = "from django.core.management import execute_from_command_line as run\nrun(['manage.py', 'wait_for', 'migrations'])"
    database = {"DJANGO_SETTINGS_MODULE": "tests.state_settings", "STATE_DATABASE": str(tmp_path / "db.sqlite3")}
    with started(code, PYTHONUNBUFFERED="1", **database) as process:
        assert read_line(process).startswith('migrations "default" is not available yet')
        process.terminate()
        out, errors = process.communicate()
        assert (out, errors, process.returncode) == ("", "", 143)
