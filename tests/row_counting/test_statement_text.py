"""SQL in, its verb and its table out."""

from __future__ import annotations

import pytest

from django_runbook.row_counting.statement_text import Verb, parse, temporary_table

CASES = {
    'INSERT INTO "flights" ("id") VALUES (%s), (%s) RETURNING "id"': (Verb.INSERT, "flights"),
    "insert into Flights values (1)": (Verb.INSERT, "flights"),
    "INSERT OR IGNORE INTO `flights` VALUES (1)": (Verb.INSERT, "flights"),
    "INSERT IGNORE INTO `flights` VALUES (1)": (Verb.INSERT, "flights"),
    'INSERT INTO "flights" VALUES (1) ON CONFLICT DO NOTHING': (Verb.INSERT, "flights"),
    'INSERT INTO "flights" VALUES (1) ON CONFLICT("id") DO UPDATE SET "n" = EXCLUDED."n"': (Verb.UPSERT, "flights"),
    "INSERT INTO `flights` VALUES (1) ON DUPLICATE KEY UPDATE `n` = VALUES(`n`)": (Verb.UPSERT, "flights"),
    "INSERT OR REPLACE INTO flights VALUES (1)": (Verb.UPSERT, "flights"),
    "REPLACE INTO flights VALUES (1)": (Verb.UPSERT, "flights"),
    'INSERT INTO "a""b"."c.d" VALUES (1)': (Verb.INSERT, 'a"b.c.d'),
    'UPDATE "flights" SET "n" = 1': (Verb.UPDATE, "flights"),
    "UPDATE ONLY public.flights AS f SET n = 1 FROM other": (Verb.UPDATE, "public.flights"),
    "UPDATE a JOIN b ON a.id = b.id SET a.n = 1": (Verb.OTHER, "UPDATE"),
    'DELETE FROM "flights" WHERE "id" IN (SELECT 1)': (Verb.DELETE, "flights"),
    "DELETE `flights` FROM `flights` INNER JOIN `b` ON (1)": (Verb.DELETE, "flights"),
    "DELETE a, b FROM a JOIN b": (Verb.OTHER, "DELETE"),
    "/* why */ -- and how\n ( DELETE FROM flights)": (Verb.DELETE, "flights"),
    "TRUNCATE TABLE flights, other": (Verb.TRUNCATE, "flights"),
    "WITH old AS (SELECT 1) DELETE FROM flights USING old": (Verb.DELETE, "flights"),
    "WITH old AS (DELETE FROM a RETURNING *) INSERT INTO b SELECT * FROM old": (Verb.OTHER, "WITH"),
    "WITH old AS (DELETE FROM a RETURNING *) SELECT * FROM old": (Verb.OTHER, "WITH"),
    "WITH a AS (SELECT 1) SELECT * FROM a FOR UPDATE": (Verb.READ, ""),
    "WITH a AS (SELECT 1) SELECT * FROM a FOR NO KEY UPDATE": (Verb.READ, ""),
    "SELECT * FROM flights FOR UPDATE": (Verb.READ, ""),
    "EXPLAIN DELETE FROM flights": (Verb.READ, ""),
    "EXPLAIN ANALYZE DELETE FROM flights": (Verb.DELETE, "flights"),
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
    'CREATE TABLE "a" ("id" integer)': (Verb.SCHEMA, ""),
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
    assert temporary_table(f'CREATE {word} TABLE IF NOT EXISTS "t" (id int)') == "t"
    assert temporary_table('CREATE TABLE "t" (id int)') == ""
