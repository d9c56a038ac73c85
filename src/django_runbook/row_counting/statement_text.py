"""Reads what an SQL statement does to which table, as far as a row count needs it."""

from __future__ import annotations

import enum
import re
from functools import lru_cache
from typing import Final

from django_runbook.structs import Struct


class Verb(enum.Enum):
    """Names what a statement does; ``OTHER`` may change any rows, and ``READ`` changes none."""

    INSERT = "INSERT"
    UPSERT = "upsert"
    UPDATE = "UPDATE"
    DELETE = "DELETE"
    TRUNCATE = "TRUNCATE"
    OTHER = "other"
    READ = "read"
    SCHEMA = "schema"
    BEGIN = "begin"
    COMMIT = "commit"
    ROLLBACK = "rollback"
    SAVEPOINT = "savepoint"
    RELEASE = "release"
    ROLLBACK_TO = "rollback to"


WRITES: Final = frozenset((Verb.INSERT, Verb.UPSERT, Verb.UPDATE, Verb.DELETE))


class SqlStatement(Struct):
    """Holds a verb, and the table or the savepoint that it names; the name of an ``OTHER`` statement is its keyword."""

    verb: Verb
    name: str = ""


# Only the head of a statement is searched: an INSERT may have megabytes of values.
_HEAD: Final = 4000
_PART: Final = r'(?:"(?:[^"]|"")+"|`(?:[^`]|``)+`|\[[^\]]+\]|[\w$]+)'
_NAME: Final = rf"(?P<name>{_PART}(?:\s*\.\s*{_PART})*)"
_BLANK: Final = r"(?:\s+|--[^\n]*(?:\n|$)|/\*.*?\*/)"
_START: Final = re.compile(rf"(?:{_BLANK}|\()*(?P<word>[A-Za-z]+)", re.DOTALL)
_PRIORITY: Final = r"(?:(?:LOW_PRIORITY|DELAYED|HIGH_PRIORITY|QUICK)\s+)?"
_INSERT: Final = re.compile(
    rf"INSERT\s+(?P<replaces>OR\s+REPLACE\s+)?(?:OR\s+\w+\s+)?{_PRIORITY}(?:IGNORE\s+)?(?:INTO\s+)?{_NAME}",
    re.IGNORECASE,
)
_REPLACE: Final = re.compile(rf"REPLACE\s+{_PRIORITY}(?:INTO\s+)?{_NAME}", re.IGNORECASE)
_UPDATE: Final = re.compile(
    rf"UPDATE\s+(?:OR\s+\w+\s+|ONLY\s+)?{_PRIORITY}(?:IGNORE\s+)?{_NAME}(?:\s+(?:AS\s+)?(?!SET\b){_PART})?\s+SET\b",
    re.IGNORECASE,
)
_DELETE: Final = re.compile(
    rf"DELETE\s+{_PRIORITY}(?:IGNORE\s+)?(?:FROM\s+(?:ONLY\s+)?)?{_NAME}(?!\s*,)", re.IGNORECASE
)
_TRUNCATE: Final = re.compile(rf"TRUNCATE\s+(?:TABLE\s+)?(?:ONLY\s+)?{_NAME}", re.IGNORECASE)
_SAVEPOINT: Final = re.compile(rf"(?:SAVEPOINT|RELEASE(?:\s+SAVEPOINT)?)\s+{_NAME}", re.IGNORECASE)
_ROLLBACK_TO: Final = re.compile(rf"ROLLBACK\s+(?:WORK\s+|TRANSACTION\s+)?TO\s+(?:SAVEPOINT\s+)?{_NAME}", re.IGNORECASE)
_TEMPORARY: Final = re.compile(
    rf"CREATE\s+(?:(?:GLOBAL|LOCAL)\s+)?TEMP(?:ORARY)?\s+TABLE\s+(?:IF\s+NOT\s+EXISTS\s+)?{_NAME}", re.IGNORECASE
)
_UPSERTS: Final = re.compile(r"\bON\s+CONFLICT\b.*?\bDO\s+UPDATE\b|\bON\s+DUPLICATE\s+KEY\b", re.IGNORECASE | re.DOTALL)
_CHANGES_IN_QUERY: Final = re.compile(
    r"\bINSERT\s+INTO\b|(?<!\bFOR\s)(?<!\bKEY\s)\bUPDATE\b(?=.*?\bSET\b)|\bDELETE\s+FROM\b|\bMERGE\s+INTO\b",
    re.IGNORECASE | re.DOTALL,
)
_READS: Final = frozenset(
    """
    SELECT VALUES TABLE SHOW DESCRIBE DESC PRAGMA SET RESET LOCK UNLOCK FETCH MOVE DECLARE CLOSE LISTEN UNLISTEN NOTIFY
    ANALYZE VACUUM CHECKPOINT DISCARD USE KILL FLUSH OPTIMIZE CHECK REINDEX PREPARE DEALLOCATE ATTACH DETACH
    """.split()  # noqa: SIM905 - a text of words is easier to read
)
_SCHEMA: Final = frozenset(("CREATE", "ALTER", "DROP", "RENAME", "COMMENT", "GRANT", "REVOKE"))
_TRANSACTION: Final = {
    "BEGIN": Verb.BEGIN,
    "START": Verb.BEGIN,
    "COMMIT": Verb.COMMIT,
    "END": Verb.COMMIT,
    "ROLLBACK": Verb.ROLLBACK,
    "ABORT": Verb.ROLLBACK,
}


def parse(sql: str) -> SqlStatement:
    """Return what a statement does; several statements in one text are ``OTHER``."""
    return _parse_short(sql) if len(sql) <= _HEAD else _parse(sql)


def _parse(sql: str) -> SqlStatement:
    start = _START.match(sql)
    if start is None:
        return SqlStatement(verb=Verb.READ)
    word = start["word"].upper()
    head = sql[start.start("word") : start.start("word") + _HEAD]
    if ";" in sql and _has_several(sql):
        return SqlStatement(verb=Verb.OTHER, name="several statements in one")
    if word in {"SELECT", "WITH", "EXPLAIN"}:
        return _query(word, sql)
    return _write(word, head, sql) or _other(word, head)


# A command calls few statements many times.
_parse_short: Final = lru_cache(maxsize=500)(_parse)


def temporary_table(sql: str) -> str:
    """Return the name of the temporary table that a statement creates; empty if it creates none."""
    found = _TEMPORARY.match(sql.lstrip())
    return "" if found is None else unquoted(found["name"])


def unquoted(name: str) -> str:
    """Return the name of a table without quotes, in lower case where it has none; parts remain joined by a period."""
    parts = re.findall(_PART, name)
    return ".".join(
        part[1:-1].replace(part[-1] * 2, part[-1]) if part[0] in '"`[' else part.lower() for part in map(str, parts)
    )


def _write(word: str, head: str, sql: str) -> SqlStatement | None:
    match word:
        case "INSERT" if (found := _INSERT.match(head)) is not None:
            is_upsert = bool(found["replaces"]) or _UPSERTS.search(sql) is not None
            return SqlStatement(verb=Verb.UPSERT if is_upsert else Verb.INSERT, name=unquoted(found["name"]))
        case "REPLACE" if (found := _REPLACE.match(head)) is not None:
            return SqlStatement(verb=Verb.UPSERT, name=unquoted(found["name"]))
        case "UPDATE" if (found := _UPDATE.match(head)) is not None:
            return SqlStatement(verb=Verb.UPDATE, name=unquoted(found["name"]))
        case "DELETE" if (found := _DELETE.match(head)) is not None:
            return SqlStatement(verb=Verb.DELETE, name=unquoted(found["name"]))
        case "TRUNCATE" if (found := _TRUNCATE.match(head)) is not None:
            return SqlStatement(verb=Verb.TRUNCATE, name=unquoted(found["name"]))
    return None


def _other(word: str, head: str) -> SqlStatement:
    if word in {"SAVEPOINT", "RELEASE"} and (found := _SAVEPOINT.match(head)) is not None:
        return SqlStatement(verb=Verb.SAVEPOINT if word == "SAVEPOINT" else Verb.RELEASE, name=unquoted(found["name"]))
    if word == "ROLLBACK" and (found := _ROLLBACK_TO.match(head)) is not None:
        return SqlStatement(verb=Verb.ROLLBACK_TO, name=unquoted(found["name"]))
    if word in _TRANSACTION:
        return SqlStatement(verb=_TRANSACTION[word])
    if word in _SCHEMA:
        return SqlStatement(verb=Verb.SCHEMA)
    return SqlStatement(verb=Verb.READ) if word in _READS else SqlStatement(verb=Verb.OTHER, name=word)


def _query(word: str, sql: str) -> SqlStatement:
    """Return what a query with changes inside does; one change is what the statement does as a whole."""
    if word == "SELECT" or (word == "EXPLAIN" and not re.search(r"\bANALY[ZS]E\b", sql[:200], re.IGNORECASE)):
        return SqlStatement(verb=Verb.READ)
    found = list(_CHANGES_IN_QUERY.finditer(sql))
    if not found:
        return SqlStatement(verb=Verb.READ)
    # A change inside of parentheses is not what the row count of the statement is about.
    before = sql[: found[0].start()]
    if len(found) == 1 and before.count("(") == before.count(")"):
        head = sql[found[0].start() : found[0].start() + _HEAD]
        return _write(found[0][0].split()[0].upper(), head, sql) or SqlStatement(verb=Verb.OTHER, name=word)
    return SqlStatement(verb=Verb.OTHER, name=word)


def _has_several(sql: str) -> bool:
    text = sql.rstrip().rstrip(";")
    if ";" not in text:
        return False
    # A semicolon inside of a string separates nothing. Only a rare statement needs the parser, which Django requires.
    import sqlparse

    return len([one for one in sqlparse.split(text) if one.strip(" ;\n\t")]) > 1
