"""Statements of every kind on three databases: what is counted equals what snapshots say, or a note says it may not."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from django.db import DatabaseError, connections, transaction

from django_runbook.row_counting.counting import RowCounter
from tests.row_counting.test_counting import Desk, add_trigger, changes_between, counted

pytestmark = pytest.mark.slow
ALL, P, M, S = ("sqlite", "postgresql", "mariadb"), ("postgresql",), ("mariadb",), ("sqlite",)
UPSERT = "INSERT INTO {r} (number, {k}) VALUES (9, 1), (9, 100)"
# Statements by the databases that know them; each list is one case.
STATEMENTS: dict[str, tuple[tuple[str, ...], list[str]]] = {
    "insert select": (ALL, ["INSERT INTO {l} (number) SELECT number FROM {r}"]),
    "insert returning": (ALL, ["INSERT INTO {l} (number) VALUES (1), (2) RETURNING id"]),
    "delete returning": (ALL, ["DELETE FROM {r} WHERE id < 1003 RETURNING id"]),
    "delete all": (ALL, ["DELETE FROM {r}"]),
    "comments": (ALL, ["/* DELETE FROM x */ UPDATE {r} SET number = 55 -- WHERE\n"]),
    "do nothing": (P + S, [UPSERT + " ON CONFLICT DO NOTHING"]),
    "do update": (P + S, [UPSERT + " ON CONFLICT ({k}) DO UPDATE SET number = 9"]),
    "duplicate key": (M, [UPSERT + " ON DUPLICATE KEY UPDATE number = 9"]),
    "duplicate key returning": (M, [UPSERT + " ON DUPLICATE KEY UPDATE number = 9 RETURNING id"]),
    "insert ignore": (M, ["INSERT IGNORE INTO {r} (number, {k}) VALUES (1, 1), (1, 100)"]),
    "update ignore": (M, ["UPDATE IGNORE {r} SET {k} = 2 WHERE id = 1001"]),
    "replace one": (M + S, ["REPLACE INTO {r} (id, number, {k}) VALUES (1001, 50, 1)"]),
    "replace two": (M + S, ["REPLACE INTO {r} (id, number, {k}) VALUES (1001, 50, 2)"]),
    "insert or replace": (S, ["INSERT OR REPLACE INTO {r} (id, number, {k}) VALUES (1001, 50, 2)"]),
    "update or replace": (S, ["UPDATE OR REPLACE {r} SET {k} = 2 WHERE id = 1001"]),
    "update or ignore": (S, ["UPDATE OR IGNORE {r} SET {k} = 2 WHERE id = 1001"]),
    "delete from two": (M, ["DELETE {r}, {p} FROM {r} JOIN {p} ON {p}.row_id = {r}.id"]),
    "delete from two with stars": (M, ["DELETE {r}.*, {p}.* FROM {r} JOIN {p} ON {p}.row_id = {r}.id"]),
    "delete from one with a star": (M, ["DELETE {r}.* FROM {r} JOIN {p} ON {p}.row_id = {r}.id"]),
    "delete from one": (M, ["DELETE {r} FROM {r} JOIN {p} ON {p}.row_id = {r}.id"]),
    "delete from an alias": (M, ["DELETE x FROM {r} x JOIN {p} y ON y.row_id = x.id"]),
    "delete using an alias": (M, ["DELETE FROM x USING {r} AS x JOIN {p} y ON y.row_id = x.id"]),
    "delete using an alias without AS": (M, ["DELETE FROM x USING {r} x JOIN {p} y ON y.row_id = x.id"]),
    "delete using two": (M, ["DELETE FROM {r}, {p} USING {r} JOIN {p} ON {p}.row_id = {r}.id"]),
    "delete using": (P, ["DELETE FROM {r} USING {p} WHERE {p}.row_id = {r}.id"]),
    "delete with a limit": (M, ["DELETE FROM {r} ORDER BY id LIMIT 1"]),
    "update two": (M, ["UPDATE {r}, {p} SET {r}.number = 77, {p}.number = 78 WHERE {p}.row_id = {r}.id"]),
    "update joined": (M, ["UPDATE {r} a JOIN {p} b ON b.row_id = a.id SET a.number = 77, b.number = 78"]),
    "with delete": (S + P, ["WITH a AS (SELECT 1001 x) DELETE FROM {r} WHERE id IN (SELECT x FROM a)"]),
    "executable comment": (M, ["/*!40000 DELETE FROM {r} */"]),
    "analyze delete": (M, ["ANALYZE DELETE FROM {r}"]),
    "analyze in JSON": (M, ["ANALYZE FORMAT=JSON DELETE FROM {r}"]),
    "set statement": (M, ["SET STATEMENT max_statement_time=10 FOR DELETE FROM {r}"]),
    "prepared": (M, ["PREPARE x FROM 'DELETE FROM {r}'", "EXECUTE x", "DEALLOCATE PREPARE x"]),
    "execute immediate": (M, ["EXECUTE IMMEDIATE 'DELETE FROM {r}'"]),
    "begin commits": (
        M,
        ["BEGIN", "INSERT INTO {l} VALUES (1, 1)", "BEGIN", "INSERT INTO {l} VALUES (2, 1)", "ROLLBACK"],
    ),
    "chain": (P + M, ["BEGIN", "DELETE FROM {r}", "COMMIT AND CHAIN", "DELETE FROM {p}", "ROLLBACK"]),
    "chained rollback": (P + M, ["BEGIN", "DELETE FROM {r}", "ROLLBACK AND CHAIN", "DELETE FROM {p}", "COMMIT"]),
    "autocommit off": (M, ["SET autocommit=0", "DELETE FROM {r}", "ROLLBACK", "DELETE FROM {p}", "SET autocommit=1"]),
}
# These are tried in a transaction, which is kept, and outside of one.
IN_BOTH: dict[str, tuple[tuple[str, ...], list[str]]] = {
    "change in a query": (P, ["WITH d AS (DELETE FROM {r} RETURNING *) INSERT INTO {l} (number) SELECT number FROM d"]),
    "changed rows": (P, ["WITH d AS (DELETE FROM {r} RETURNING *) SELECT * FROM d"]),
    "truncate": (P + M, ["TRUNCATE {r}"]),
    "block": (P, ["DO $$BEGIN DELETE FROM {r}; INSERT INTO {l} (number) VALUES (3); END$$"]),
    "several": (P, ["DELETE FROM {r}; INSERT INTO {l} (number) VALUES (3)"]),
    "explain analyze": (P, ["EXPLAIN (ANALYZE) DELETE FROM {r}"]),
    "function": (
        P,
        [
            "CREATE FUNCTION pg_temp.wipe() RETURNS int LANGUAGE plpgsql AS $$BEGIN DELETE FROM {r}; RETURN 1; END$$",
            "SELECT pg_temp.wipe()",
            "DROP FUNCTION pg_temp.wipe",
        ],
    ),
    "temporary table": (P, ["CREATE TEMPORARY TABLE a AS SELECT * FROM {r}", "DELETE FROM a", "DROP TABLE a"]),
    "prepared": (P, ["PREPARE x AS DELETE FROM {r}", "EXECUTE x", "DEALLOCATE x"]),
    "without statistics": (P, ["SET track_counts = off", "WITH d AS (DELETE FROM {r} RETURNING *) SELECT * FROM d"]),
}
# These are rolled back: what the statements have committed before that remains.
ROLLED_BACK: dict[str, tuple[tuple[str, ...], list[str]]] = {
    "temporary table": (M, ["DELETE FROM {r}", "CREATE TEMPORARY TABLE a (b int)", "DROP TEMPORARY TABLE a"]),
    "schema": (M, ["DELETE FROM {r}", "CREATE TABLE {l}_x (a int)", "DROP TABLE {l}_x", "DELETE FROM {p}"]),
    "truncate": (M, ["DELETE FROM {r}", "TRUNCATE {l}", "DELETE FROM {p}"]),
    "locked tables": (M, ["DELETE FROM {r}", "LOCK TABLES {p} WRITE", "DELETE FROM {p}", "UNLOCK TABLES"]),
    "analyze": (M, ["DELETE FROM {r}", "ANALYZE TABLE {l}"]),
    "another engine": (M, ["INSERT INTO {l} (number) VALUES (1)"]),
}


def in_many(desk: Desk) -> None:
    row, log, quoted = desk.row._meta.db_table, desk.log._meta.db_table, connections[desk.alias].ops.quote_name("key")
    desk.run(f"INSERT INTO {log} (number) VALUES (%s)", (1,), (2,), (3,), many=True)
    desk.run(f"UPDATE {row} SET number = 99 WHERE id = %s", (1001,), (1002,), many=True)
    ending = f"ON CONFLICT ({quoted}) DO UPDATE SET number = excluded.number"
    if desk.vendor == "mariadb":
        ending = "ON DUPLICATE KEY UPDATE number = VALUES(number)"
    desk.run(f"INSERT INTO {row} (number, {quoted}) VALUES (%s, %s) {ending}", (53, 3), (54, 300), many=True)


def in_a_thread(desk: Desk) -> None:
    def work() -> None:
        desk.run(f"DELETE FROM {desk.row._meta.db_table}")
        connections[desk.alias].close()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


def without_autocommit(desk: Desk) -> None:
    connection = connections[desk.alias]
    connection.set_autocommit(False)
    desk.run(f"DELETE FROM {desk.row._meta.db_table}")
    connection.rollback()
    desk.run(f"DELETE FROM {desk.part._meta.db_table}")
    connection.commit()
    connection.set_autocommit(True)


def streamed(desk: Desk) -> None:
    if desk.vendor == "postgresql":
        with connections[desk.alias].cursor() as cursor:
            list(cursor.stream(f"INSERT INTO {desk.log._meta.db_table} (number) VALUES (1), (2) RETURNING id"))


def in_a_procedure(desk: Desk) -> None:
    if desk.vendor == "mariadb":
        name = f"{desk.log._meta.db_table}_p"
        desk.run(f"CREATE PROCEDURE {name}() BEGIN DELETE FROM {desk.row._meta.db_table}; END")
        with connections[desk.alias].cursor() as cursor:
            cursor.callproc(name)
        connections[desk.alias].close()
        desk.run(f"DROP PROCEDURE {name}")


def after_an_error(desk: Desk) -> None:
    """The database rolls a transaction with an error back, also if it is committed."""
    row, quoted = desk.row._meta.db_table, connections[desk.alias].ops.quote_name("key")
    wrong = f"INSERT INTO {row} (id, number, {quoted}) VALUES (1001, 1, 1)"
    with transaction.atomic(using=desk.alias):
        desk.run(f"INSERT INTO {desk.log._meta.db_table} (number) VALUES (1)")
        with pytest.raises(DatabaseError):
            desk.run(wrong)
    for end in ("COMMIT", "ROLLBACK"):
        desk.run("BEGIN")
        desk.run(f"DELETE FROM {desk.part._meta.db_table}")
        for statement in (wrong, f"INSERT INTO {row} (number, {quoted}) VALUES (1, 1)"):
            with pytest.raises(DatabaseError):
                desk.run(statement)
        desk.run(end)
    desk.run(f"INSERT INTO {desk.log._meta.db_table} (number) VALUES (1)")


WORK: list[Callable[[Desk], None]] = [
    in_many,
    in_a_thread,
    without_autocommit,
    streamed,
    in_a_procedure,
    after_an_error,
]


def complaint(desk: Desk, work: Callable[[Desk], None]) -> str:
    """What is wrong with the account of this work; empty if it is true, or says that it may not be."""
    connection = connections[desk.alias]
    connection.close()
    for model, rows in (
        (desk.row, [desk.row(id=1000 + number, number=number, key=number) for number in (1, 2, 3)]),
        (desk.part, [desk.part(id=1000 + number, row_id=1000 + number) for number in (1, 2, 3)]),
        (desk.log, []),
    ):
        model._default_manager.using(desk.alias).all().delete()
        model._default_manager.using(desk.alias).bulk_create(rows)
    before = desk.snapshot()
    with RowCounter(is_every_thread=True) as counter:
        work(desk)
    connection.close()
    truth, account = changes_between(before, desk.snapshot()), counter.account()
    found = counted(account)
    text = f"{dict(truth)} but {dict(found)}, {account.notes}"
    if any("no longer counted" in note for note in account.notes):
        return f"given up: {text}"
    left = truth.copy()
    for (table, verb), number in found.items():
        for one in ("inserted", "updated") if verb == "written" else (verb,):
            taken = min(left[table, one], number)
            left[table, one] -= taken
            number -= taken  # noqa: PLW2901 - what remains of it
        if number:
            return f"too many: {text}"
    return "" if account.notes or not +left else f"missed: {text}"


def executing(statements: list[str], *, is_kept: bool = True, in_transaction: bool = False) -> Callable[[Desk], None]:
    def run(desk: Desk) -> None:
        names = {
            "r": desk.row._meta.db_table,
            "p": desk.part._meta.db_table,
            "l": desk.log._meta.db_table,
            "k": connections[desk.alias].ops.quote_name("key"),
        }
        if not in_transaction:
            for statement in statements:
                desk.run(statement.format(**names))
            return
        with transaction.atomic(using=desk.alias):
            executing(statements)(desk)
            if not is_kept:
                transaction.set_rollback(True, using=desk.alias)

    return run


def test_each_statement_is_counted_or_noted(desk: Desk) -> None:
    found = {}
    for name, (vendors, statements) in (STATEMENTS | IN_BOTH).items():
        if desk.vendor in vendors:
            found[name] = complaint(desk, executing(statements))
    for name, (vendors, statements) in IN_BOTH.items():
        if desk.vendor in vendors:
            found[f"{name} in a transaction"] = complaint(desk, executing(statements, in_transaction=True))
    assert {name: text for name, text in found.items() if text} == {}


def test_what_a_database_commits_by_itself_counts_though_the_transaction_is_rolled_back(desk: Desk) -> None:
    if desk.vendor == "mariadb":
        desk.run(f"ALTER TABLE {desk.log._meta.db_table} ENGINE=MyISAM")
    work = {name: one for name, (vendors, one) in ROLLED_BACK.items() if desk.vendor in vendors}
    found = {name: complaint(desk, executing(one, in_transaction=True, is_kept=False)) for name, one in work.items()}
    # On all databases, what is not committed does not count.
    found["nothing"] = complaint(desk, executing(["DELETE FROM {r}"], in_transaction=True, is_kept=False))
    assert {name: text for name, text in found.items() if text} == {}


def test_other_ways_to_change_rows_are_counted_or_noted(desk: Desk) -> None:
    works = [one for one in WORK if one is not after_an_error or desk.vendor == "postgresql"]
    found = {one.__name__: complaint(desk, one) for one in works}
    add_trigger(desk)
    found["a trigger"] = complaint(desk, executing(["UPDATE {r} SET number = number + 1"]))
    assert {name: text for name, text in found.items() if text} == {}
