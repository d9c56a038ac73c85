"""SQL in, its verb and its table out."""

from __future__ import annotations

import pytest

from django_runbook.row_counting.statement_text import Verb, parse

CASES = {
    'INSERT INTO "flights" ("id") VALUES (%s), (%s) RETURNING "id"': (Verb.INSERT, "flights"),
    "insert into Flights values (1)": (Verb.INSERT, "flights"),
    "INSERT OR IGNORE INTO `flights` VALUES (1)": (Verb.INSERT, "flights"),
    "INSERT IGNORE INTO `flights` VALUES (1)": (Verb.INSERT, "flights"),
    'INSERT INTO "flights" VALUES (1) ON CONFLICT DO NOTHING': (Verb.INSERT, "flights"),
    'INSERT INTO "flights" VALUES (1) ON CONFLICT("id") DO UPDATE SET "n" = EXCLUDED."n"': (Verb.UPSERT, "flights"),
    "INSERT INTO `flights` VALUES (1) ON DUPLICATE KEY UPDATE `n` = VALUES(`n`)": (Verb.UPSERT, "flights"),
    "INSERT OR REPLACE INTO flights VALUES (1)": (Verb.REPLACE, "flights"),
    "REPLACE INTO flights VALUES (1)": (Verb.REPLACE, "flights"),
    'INSERT INTO "a""b"."c.d" VALUES (1)': (Verb.INSERT, 'a"b.c.d'),
    'UPDATE "flights" SET "n" = 1': (Verb.UPDATE, "flights"),
    "UPDATE ONLY public.flights AS f SET n = 1 FROM other": (Verb.UPDATE, "public.flights"),
    "UPDATE a JOIN b ON a.id = b.id SET a.n = 1": (Verb.OTHER, "UPDATE"),
    'DELETE FROM "flights" WHERE "id" IN (SELECT 1)': (Verb.DELETE, "flights"),
    "DELETE `flights` FROM `flights` INNER JOIN `b` ON (1)": (Verb.DELETE, "flights"),
    "DELETE a, b FROM a JOIN b": (Verb.OTHER, "DELETE"),
    "DELETE flights, planes FROM flights JOIN planes": (Verb.OTHER, "DELETE"),
    "DELETE FROM flights, planes USING flights JOIN planes": (Verb.OTHER, "DELETE"),
    "DELETE flights.* FROM flights JOIN planes": (Verb.OTHER, "DELETE"),
    "DELETE f FROM flights f JOIN planes": (Verb.OTHER, "DELETE"),
    "DELETE FROM f USING flights AS f JOIN planes": (Verb.OTHER, "DELETE"),
    "DELETE FROM f USING flights f JOIN planes": (Verb.OTHER, "DELETE"),
    "DELETE FROM flights USING planes WHERE flights.plane_id = planes.id": (Verb.DELETE, "flights"),
    "DELETE FROM flights USING flights JOIN planes ON planes.id = flights.plane_id": (Verb.DELETE, "flights"),
    "DELETE FROM flights f WHERE f.id = 1": (Verb.DELETE, "flights"),
    "/* why */ -- and how\n ( DELETE FROM flights)": (Verb.DELETE, "flights"),
    "TRUNCATE TABLE flights, other": (Verb.TRUNCATE, "flights"),
    "WITH old AS (SELECT 1) DELETE FROM flights USING old": (Verb.DELETE, "flights"),
    "WITH old AS (DELETE FROM a RETURNING *) INSERT INTO b SELECT * FROM old": (Verb.OTHER, "WITH"),
    "WITH old AS (DELETE FROM a RETURNING *) SELECT * FROM old": (Verb.OTHER, "WITH"),
    "WITH a AS (SELECT 1) SELECT * FROM a FOR UPDATE": (Verb.READ, ""),
    "WITH a AS (SELECT 1) SELECT * FROM a FOR NO KEY UPDATE": (Verb.READ, ""),
    "SELECT * FROM flights FOR UPDATE": (Verb.READ, ""),
    "EXPLAIN DELETE FROM flights": (Verb.READ, ""),
    "EXPLAIN ANALYZE DELETE FROM flights": (Verb.OTHER, "EXPLAIN"),
    "ANALYZE DELETE FROM flights": (Verb.OTHER, "ANALYZE"),
    "ANALYZE flights": (Verb.READ, ""),
    "SET STATEMENT max_statement_time = 1 FOR DELETE FROM flights": (Verb.OTHER, "SET"),
    "SET autocommit=0": (Verb.AUTOCOMMIT, "OFF"),
    "SET SESSION autocommit = ON": (Verb.AUTOCOMMIT, "ON"),
    "SET search_path = x": (Verb.READ, ""),
    "/*!40000 DELETE FROM flights */": (Verb.OTHER, "an executable comment"),
    "UPDATE IGNORE flights SET n = 1": (Verb.OTHER, "UPDATE"),
    "UPDATE OR REPLACE flights SET n = 1": (Verb.OTHER, "UPDATE"),
    "UPDATE OR IGNORE flights SET n = 1": (Verb.UPDATE, "flights"),
    "COMMIT AND CHAIN": (Verb.COMMIT, "CHAIN"),
    "CALL purge()": (Verb.OTHER, "CALL"),
    "COPY flights FROM STDIN": (Verb.OTHER, "COPY"),
    "MERGE INTO flights USING new ON true WHEN MATCHED THEN DELETE": (Verb.OTHER, "MERGE"),
    "DELETE FROM a; DELETE FROM b": (Verb.OTHER, "several statements in one"),
    "DELETE FROM a WHERE b = ';'": (Verb.DELETE, "a"),
    "DELETE FROM a ; ": (Verb.DELETE, "a"),
    "BEGIN IMMEDIATE": (Verb.BEGIN, ""),
    "START TRANSACTION": (Verb.BEGIN, ""),
    "COMMIT": (Verb.COMMIT, ""),
    "ROLLBACK": (Verb.ROLLBACK, ""),
    'SAVEPOINT "s1_x2"': (Verb.SAVEPOINT, "s1_x2"),
    "RELEASE SAVEPOINT `s1_x2`": (Verb.RELEASE, "s1_x2"),
    "ROLLBACK TO SAVEPOINT s1_x2": (Verb.ROLLBACK_TO, "s1_x2"),
    'CREATE TABLE "a" ("id" integer)': (Verb.SCHEMA, "a"),
    "CREATE TABLE IF NOT EXISTS a.b AS SELECT 1": (Verb.SCHEMA, "a.b"),
    "CREATE UNLOGGED TABLE a AS TABLE b": (Verb.SCHEMA, "a"),
    "CREATE OR REPLACE TABLE a SELECT 1": (Verb.SCHEMA, "a"),
    "CREATE INDEX a ON b (c)": (Verb.SCHEMA, ""),
    "SELECT x INTO a FROM b": (Verb.READ, "a"),
    "SELECT x INTO UNLOGGED TABLE a FROM b": (Verb.READ, "a"),
    "SELECT 'INTO a', 'it''s INTO b' FROM c": (Verb.READ, ""),
    "PRAGMA foreign_keys": (Verb.READ, ""),
    "": (Verb.READ, ""),
    "; -- nothing": (Verb.READ, ""),
}


@pytest.mark.parametrize("sql", CASES)
def test_a_statement_is_read_as_what_it_does(sql: str) -> None:
    found = parse(sql)
    assert (found.verb, found.name) == CASES[sql]


def test_a_long_list_of_values_is_not_searched_for_the_table() -> None:
    values = ", ".join(["('UPDATE x SET y')"] * 50_000)
    assert parse(f'INSERT INTO "flights" VALUES {values}').name == "flights"


@pytest.mark.parametrize("word", ["TEMP", "TEMPORARY", "GLOBAL TEMPORARY"])
def test_temporary_tables_are_known(word: str) -> None:
    for before in ("", " ", "/* of a tool */ ", "-- of a tool\n"):
        for sql in (f'{before}CREATE {word} TABLE IF NOT EXISTS "t" (id int)', f"{before}SELECT 1 INTO {word} t"):
            assert (parse(sql).name, parse(sql).is_temporary) == ("t", True)
        for sql in (f'{before}CREATE TABLE "t" (id int)', f"{before}SELECT 1 INTO t"):
            assert (parse(sql).name, parse(sql).is_temporary) == ("t", False)
