"""Single statements, and what is counted and noted of them."""

from __future__ import annotations

import random
from typing import Any

import pytest
from django.contrib.sites.models import Site
from django.db import IntegrityError, connection, connections, transaction

from django_runbook.models.checkpoints import FinishedKey
from django_runbook.row_account import RowAccount, TableCounts
from django_runbook.row_counting.counting import RowCounter
from tests.row_counting.test_counting import Desk

SITES = Site._meta.db_table


def execute(sql: str, *params: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql, params or None)


@pytest.mark.django_db(transaction=True)
def test_the_counter_leaves_no_trace_on_the_connection() -> None:
    before = dict(vars(connections["default"]))
    with RowCounter() as rows, RowCounter() as inside:
        Site.objects.create(domain="a", name="a")
    assert rows.account() == inside.account() == RowAccount(tables={SITES: TableCounts(inserted=1)})
    after = vars(connections["default"])
    assert [
        name for name in ("_commit", "_rollback", "_close", "_prepare_cursor", "set_rollback") if name in after
    ] == []
    assert after["execute_wrappers"] == before["execute_wrappers"] == []
    Site.objects.create(domain="b", name="b")
    assert rows.account().tables[SITES].inserted == 1


@pytest.mark.django_db
def test_wrappers_of_a_command_stay_in_their_order() -> None:
    seen: list[str] = []

    def wrapper(execute: Any, sql: str, params: Any, many: Any, context: Any) -> Any:
        seen.append(sql)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(wrapper), RowCounter() as rows:
        Site.objects.create(domain="a", name="a")
    Site.objects.count()
    assert [sql.split()[0] for sql in seen].count("INSERT") == 1
    assert not any("COUNT" in sql for sql in seen)
    assert rows.account().tables == {SITES: TableCounts(inserted=1)}


@pytest.mark.django_db
def test_the_tables_of_this_app_do_not_count() -> None:
    with RowCounter() as rows:
        FinishedKey.objects.create(command="a", run_key="b")
    assert rows.account() == RowAccount()


@pytest.mark.django_db
def test_an_error_of_the_counter_is_noted_and_changes_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(sql: str) -> None:
        raise LookupError("unheard of")

    monkeypatch.setattr("django_runbook.row_counting.connection_counter.parse", fail)
    with RowCounter() as rows:
        Site.objects.create(domain="a", name="a")
        Site.objects.create(domain="b", name="b")
    assert Site.objects.filter(domain__in="ab").count() == 2
    assert rows.account().notes == ("rows are no longer counted, because of LookupError: unheard of",)


@pytest.mark.django_db(transaction=True)
def test_hand_written_transactions_count_as_they_end() -> None:
    with RowCounter() as rows:
        for end in ("ROLLBACK", "COMMIT"):
            execute("BEGIN")
            execute(f"INSERT INTO {SITES} (domain, name) VALUES ('{end}', 'a')")
            execute("SAVEPOINT one")
            execute(f"DELETE FROM {SITES} WHERE domain = '{end}'")
            execute("ROLLBACK TO one")
            execute(end)
    assert rows.account().tables == {SITES: TableCounts(inserted=1)}


@pytest.mark.django_db(transaction=True)
def test_a_rollback_that_is_asked_for_counts_in_a_dry_run() -> None:
    def work(*, is_asked_for: bool) -> None:
        with transaction.atomic():
            Site.objects.create(domain="a", name="a")
            if is_asked_for:
                transaction.set_rollback(True)
            else:
                raise LookupError

    for is_dry_run, expected in ((False, {}), (True, {SITES: TableCounts(inserted=1)})):
        with RowCounter(is_dry_run=is_dry_run) as rows:
            work(is_asked_for=True)
            with pytest.raises(LookupError):
                work(is_asked_for=False)
        assert rows.account().tables == expected
    with RowCounter(is_dry_run=True, counts_rollbacks=True) as rows, pytest.raises(LookupError):
        work(is_asked_for=False)
    assert rows.account().tables == {SITES: TableCounts(inserted=1)}


@pytest.mark.django_db(transaction=True, databases=["default", "replica"])
def test_the_tables_of_another_database_have_its_name() -> None:
    with RowCounter() as rows:
        Site.objects.using("replica").create(domain="a", name="a")
    assert list(rows.account().tables) == [f"{SITES}@replica"]


@pytest.mark.slow
def test_an_upsert_is_counted_by_what_it_did_as_far_as_the_database_tells(desk: Desk) -> None:
    made, rows = desk.row, desk.row._default_manager.using(desk.alias)
    unique = {} if desk.vendor == "mariadb" else {"unique_fields": ["key"]}
    connections[desk.alias].ensure_connection()
    rows.create(key=1)
    # Some releases of Django open no transaction for a single statement.
    with RowCounter() as counter, transaction.atomic(using=desk.alias):
        rows.bulk_create(
            [made(key=key, number=7) for key in (1, 2, 3)], update_conflicts=True, update_fields=["number"], **unique
        )
    table, account = f"{made._meta.db_table}@{desk.alias}", counter.account()
    expected = {
        "postgresql": TableCounts(inserted=2, updated=1),
        "sqlite": TableCounts(written=3),
        "mariadb": account.tables[table],
    }
    assert account.tables == {table: expected[desk.vendor]}
    assert bool(account.notes) == (desk.vendor == "mariadb" and account.tables[table].written < 3)


@pytest.mark.slow
def test_what_cannot_be_counted_is_said(desk: Desk) -> None:
    row = desk.row._meta.db_table
    connections[desk.alias].ensure_connection()
    desk.run(f"INSERT INTO {row} (number, {connections[desk.alias].ops.quote_name('key')}) VALUES (1, 1)")
    quoted = connections[desk.alias].ops.quote_name("key")
    with RowCounter() as rows:
        if desk.vendor == "sqlite":
            with connections[desk.alias].cursor() as cursor:
                cursor.executescript(f"DELETE FROM {row}; INSERT INTO {row} (number, {quoted}) VALUES (1, 1);")
            desk.run("SELECT 1")
        else:
            desk.run(f"TRUNCATE {row}")
    notes = " ".join(rows.account().notes)
    assert ("by the driver" if desk.vendor == "sqlite" else "TRUNCATE") in notes


@pytest.mark.slow
def test_rows_before_the_failure_of_executemany_are_counted_or_noted(desk: Desk) -> None:
    table, quoted = desk.row._meta.db_table, connections[desk.alias].ops.quote_name("key")
    with RowCounter() as rows, pytest.raises(IntegrityError):
        desk.run(f"INSERT INTO {table} (number, {quoted}) VALUES (%s, %s)", (1, 1), (2, 2), (3, 1), many=True)
    if desk.vendor == "sqlite":
        assert rows.account() == RowAccount(tables={f"{table}@{desk.alias}": TableCounts(inserted=2)})
    else:
        assert rows.account().notes[0].startswith(f"the rows that executemany() changed in {table} before it failed")


@pytest.mark.slow
def test_a_copy_past_the_statements_is_noted(desk: Desk) -> None:
    if desk.vendor != "postgresql":
        return
    connections[desk.alias].ensure_connection()
    with RowCounter() as rows, connections[desk.alias].cursor() as cursor:
        with cursor.copy(f"COPY {desk.row._meta.db_table} (number, key) FROM STDIN") as copy:
            copy.write_row((1, 1))
        cursor.execute(f"SELECT count(*) FROM {desk.row._meta.db_table}")
        assert cursor.fetchone() == (1,)
    assert rows.account().notes == (f"the rows that copy() of a cursor changes are not counted ({desk.alias})",)


@pytest.mark.slow
def test_statements_that_are_not_understood_are_measured_in_a_transaction_of_postgresql(
    desk: Desk,
) -> None:
    if desk.vendor != "postgresql":
        return
    row = desk.row._meta.db_table
    connections[desk.alias].ensure_connection()
    rng = random.Random(1)
    with RowCounter() as rows, transaction.atomic(using=desk.alias):
        desk.run(f"WITH new AS (INSERT INTO {row} (number, key) VALUES (1, 1), (2, 2) RETURNING *) SELECT * FROM new")
        desk.run(f"DO $$BEGIN INSERT INTO {row} (number, key) VALUES (3, {rng.randrange(10, 99)}); END$$")
        desk.run(f"CREATE TEMPORARY TABLE aside_{row} AS SELECT * FROM {row}")
        desk.run(f"DELETE FROM aside_{row}")
    assert rows.account() == RowAccount(tables={f"{row}@{desk.alias}": TableCounts(inserted=3)})


@pytest.mark.slow
def test_the_rows_of_a_table_that_is_filled_by_a_query_count(desk: Desk) -> None:
    row, tables = desk.row._meta.db_table, {}
    desk.row.objects.using(desk.alias).bulk_create(desk.row(number=number, key=number) for number in (1, 2))
    try:
        with RowCounter() as rows:
            desk.run(f"CREATE TABLE copied AS SELECT * FROM {row}")
            desk.run("CREATE TABLE empty_one (x int)")
            if desk.vendor == "postgresql":
                desk.run(f"SELECT * INTO copied_again FROM {row}")
                desk.run(f"SELECT * INTO TEMPORARY aside FROM {row}")
        if desk.vendor != "sqlite":
            tables[f"copied@{desk.alias}"] = TableCounts(inserted=2)
        if desk.vendor == "postgresql":
            tables[f"copied_again@{desk.alias}"] = TableCounts(inserted=2)
        assert rows.account() == RowAccount(tables=tables)
    finally:
        for name in ("copied", "empty_one", "copied_again"):
            desk.run(f"DROP TABLE IF EXISTS {name}")
