"""``--database``, and the refusal to write, on the databases themselves."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import DatabaseError, connection, connections, transaction

from django_runbook.batch.parts.database_command import DatabaseCommand
from tests.batch.databases import VENDORS, alias_on, run


class Command(DatabaseCommand):
    """Does what a test hands it, and keeps what it gave."""

    def __init__(self, work: Callable[[Command], object] = lambda command: command.database) -> None:
        super().__init__()
        self.work = work
        self.seen: list[object] = []

    def handle(self, *args: Any, **options: Any) -> None:
        self.seen.append(self.work(self))


class ReadOnly(Command):
    read_only = True


class OnReplica(Command):
    default_database = "replica"


@pytest.mark.parametrize(
    ("command", "tokens", "alias"),
    [
        pytest.param(Command(), [], "default", id="none given"),
        pytest.param(Command(), ["--database=replica"], "replica", id="given"),
        pytest.param(OnReplica(), [], "replica", id="the command's own default"),
        pytest.param(OnReplica(), ["--database", "default"], "default", id="another than the command's own"),
    ],
)
def test_the_database_is_the_requested_one(command: Command, tokens: list[str], alias: str) -> None:
    call_command(command, *tokens)
    assert command.seen == [alias]


def test_the_connection_is_that_of_the_database() -> None:
    command = Command(lambda command: command.connection is connections["replica"])
    call_command(command, database="replica")
    assert command.seen == [True]


@pytest.mark.parametrize(
    "given", [(["--database=replcia"], {}), ([], {"database": "replcia"})], ids=["token", "option"]
)
def test_an_unknown_alias_suggests_a_similar_one(given: tuple[list[str], dict[str, str]]) -> None:
    tokens, options = given
    with pytest.raises(CommandError, match='DATABASES has no alias "replcia"; did you mean "replica"\\?'):
        call_command(Command(), *tokens, **options)


def test_an_unknown_alias_without_a_similar_one_lists_all() -> None:
    with pytest.raises(CommandError, match=r'no alias "x"; choose from default, replica'):
        call_command(Command(), "--database=x")


def test_an_unknown_default_is_reported() -> None:
    class Lacking(Command):
        default_database = "warehouse"

    with pytest.raises(CommandError, match='DATABASES has no alias "warehouse"'):
        call_command(Lacking())


@pytest.fixture(name="alias", params=VENDORS)
def alias_of_each_vendor(request: pytest.FixtureRequest, tmp_path: Path, django_db_blocker: Any) -> Iterator[str]:
    with django_db_blocker.unblock(), alias_on(request.param, tmp_path) as name:
        yield name


def write(alias: str) -> bool:
    """Whether a row could be written."""
    try:
        run(alias, f"INSERT INTO {alias} VALUES (2)")
    except DatabaseError:
        return False
    return True


def read(alias: str) -> int:
    return int(run(alias, f"SELECT count(*) FROM {alias}"))


def test_writes_are_refused_while_the_command_runs_and_no_longer(alias: str) -> None:
    command = ReadOnly(lambda command: (write(alias), read(alias)))
    call_command(command, database=alias)
    assert command.seen == [(False, 1)]
    assert write(alias)


def test_an_open_connection_refuses_writes_too(alias: str) -> None:
    connections[alias].ensure_connection()
    command = ReadOnly(lambda command: write(alias))
    call_command(command, database=alias)
    assert command.seen == [False]
    assert write(alias)


def test_a_reopened_connection_refuses_writes_too(alias: str) -> None:
    def work(command: Command) -> tuple[bool, bool]:
        before = write(alias)
        connections[alias].close()
        return before, write(alias)

    command = ReadOnly(work)
    call_command(command, database=alias)
    assert command.seen == [(False, False)]
    assert write(alias)


def test_a_transaction_of_the_command_is_read_only(alias: str) -> None:
    def work(command: Command) -> tuple[int, bool]:
        with transaction.atomic(using=alias):
            count = read(alias)
        with pytest.raises(DatabaseError), transaction.atomic(using=alias):
            run(alias, f"INSERT INTO {alias} VALUES (2)")
        return count, write(alias)

    command = ReadOnly(work)
    call_command(command, database=alias)
    assert command.seen == [(1, False)]
    with transaction.atomic(using=alias):
        assert write(alias)


def test_a_failure_restores_a_writable_connection(alias: str) -> None:
    def work(command: Command) -> None:
        read(alias)
        raise CommandError("no figures")

    with pytest.raises(CommandError, match="no figures"):
        call_command(ReadOnly(work), database=alias)
    assert write(alias)


def test_an_unfinished_transaction_restores_a_writable_connection(alias: str) -> None:
    def work(command: Command) -> None:
        transaction.set_autocommit(False, using=alias)
        read(alias)

    call_command(ReadOnly(work), database=alias)
    if connections[alias].connection is not None:
        transaction.rollback(using=alias)
        transaction.set_autocommit(True, using=alias)
    assert write(alias)


def test_connections_of_other_threads_are_unchanged(alias: str) -> None:
    def write_elsewhere() -> None:
        written.append(write(alias))
        connections[alias].close()

    def work(command: Command) -> None:
        thread = threading.Thread(target=write_elsewhere)
        thread.start()
        thread.join()

    written: list[bool] = []
    call_command(ReadOnly(work), database=alias)
    assert written == [True]


def test_a_second_connection_of_the_alias_is_unchanged(alias: str) -> None:
    # A runner that keeps a history beside the command uses a connection of its own.
    def work(command: Command) -> None:
        other = connections[alias].copy()
        with other.cursor() as cursor:
            cursor.execute(f"INSERT INTO {alias} VALUES (3)")
        other.close()

    call_command(ReadOnly(work), database=alias)
    assert read(alias) == 2


def test_commands_within_commands_refuse_until_the_outer_one_ends(alias: str) -> None:
    def work(command: Command) -> bool:
        call_command(ReadOnly(lambda command: read(alias)), database=alias)
        return write(alias)

    command = ReadOnly(work)
    call_command(command, database=alias)
    assert command.seen == [False]
    assert write(alias)


@pytest.mark.parametrize("vendor", ["sqlite", "postgresql"])
def test_inside_a_transaction_writes_are_refused_until_the_command_ends(
    vendor: str, tmp_path: Path, django_db_blocker: Any
) -> None:
    with django_db_blocker.unblock(), alias_on(vendor, tmp_path) as alias:
        with transaction.atomic(using=alias):
            run(alias, f"INSERT INTO {alias} VALUES (2)")
            command = ReadOnly(lambda command: read(alias))
            call_command(command, database=alias)
            with pytest.raises(DatabaseError), transaction.atomic(using=alias):
                call_command(ReadOnly(lambda command: run(alias, f"DELETE FROM {alias}")), database=alias)
            assert write(alias)
        assert command.seen == [2]
        assert read(alias) == 3


@pytest.mark.parametrize("vendor", ["sqlite", "postgresql"])
def test_a_write_that_breaks_the_transaction_is_reported_and_restores_a_writable_connection(
    vendor: str, tmp_path: Path, django_db_blocker: Any
) -> None:
    def work(command: Command) -> None:
        # As Model.save() does.
        with transaction.atomic(using=alias, savepoint=False):
            run(alias, f"DELETE FROM {alias}")

    with django_db_blocker.unblock(), alias_on(vendor, tmp_path) as alias:
        with pytest.raises(DatabaseError, match=r"read-?only"), transaction.atomic(using=alias):
            call_command(ReadOnly(work), database=alias)
        assert write(alias)


@pytest.mark.slow
def test_inside_a_transaction_mariadb_fails_with_the_reason(tmp_path: Path, django_db_blocker: Any) -> None:
    with django_db_blocker.unblock(), alias_on("mariadb", tmp_path) as alias, transaction.atomic(using=alias):
        with pytest.raises(CommandError, match="a transaction is open"):
            call_command(ReadOnly(), database=alias)
        assert write(alias)


@pytest.mark.slow
@pytest.mark.parametrize(
    "sign", [{"DISABLE_SERVER_SIDE_CURSORS": True}, {"OPTIONS": {"pool": True}}], ids=["pooler", "pool"]
)
def test_on_a_pooled_connection_nothing_is_set_at_any_time(
    sign: dict[str, Any], tmp_path: Path, django_db_blocker: Any
) -> None:
    def work(command: Command) -> tuple[int, str, bool]:
        count = read(alias)
        setting = run(alias, "SHOW default_transaction_read_only")
        with pytest.raises(DatabaseError), transaction.atomic(using=alias):
            run(alias, f"INSERT INTO {alias} VALUES (2)")
        return count, setting, connections[alias].in_atomic_block

    with django_db_blocker.unblock(), alias_on("postgresql", tmp_path, **sign) as alias:
        command = ReadOnly(work)
        call_command(command, database=alias)
        assert command.seen == [(1, "off", True)]
        assert write(alias)


@pytest.mark.slow
def test_without_autocommit_a_rollback_does_not_allow_writes(tmp_path: Path, django_db_blocker: Any) -> None:
    def work(command: Command) -> bool:
        read(alias)
        transaction.rollback(using=alias)
        return write(alias)

    with django_db_blocker.unblock(), alias_on("postgresql", tmp_path) as alias:
        connections.settings[alias]["AUTOCOMMIT"] = False
        command = ReadOnly(work)
        call_command(command, database=alias)
        connections.settings[alias]["AUTOCOMMIT"] = True
        assert command.seen == [False]


def test_on_sqlite_a_reading_transaction_takes_no_write_lock(tmp_path: Path, django_db_blocker: Any) -> None:
    def work(command: Command) -> int:
        with transaction.atomic(using=alias):
            return read(alias)

    with (
        django_db_blocker.unblock(),
        alias_on("sqlite", tmp_path, OPTIONS={"transaction_mode": "IMMEDIATE"}) as alias,
    ):
        command = ReadOnly(work)
        call_command(command, database=alias)
        assert command.seen == [1]
        mode: Any = connections[alias]
        assert mode.transaction_mode == "IMMEDIATE"


@pytest.mark.django_db
def test_read_only_works_in_a_testcase(django_user_model: Any) -> None:
    django_user_model.objects.create(username="ada")
    command = ReadOnly(lambda command: django_user_model.objects.using(command.database).count())
    call_command(command)
    assert command.seen == [1]
    assert connection.vendor != "sqlite" or run("default", "PRAGMA query_only") == 0


def test_an_unsupported_database_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections["default"], "vendor", "oracle", raising=False)
    with pytest.raises(CommandError, match=r'"default" \(oracle\) cannot be made read-only'):
        call_command(ReadOnly())
