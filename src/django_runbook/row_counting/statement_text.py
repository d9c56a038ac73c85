"""Reads what an SQL statement does to which table, as far as a row count needs it."""

from __future__ import annotations

import enum
import re
from functools import lru_cache
from typing import Final

from django_runbook.structs import Struct, replace


class Verb(enum.Enum):
    """Names what a statement does; ``OTHER`` may change any rows, and ``READ`` changes none."""

    INSERT = "INSERT"
    UPSERT = "upsert"
    REPLACE = "REPLACE"
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
    AUTOCOMMIT = "autocommit"


WRITES: Final = frozenset((Verb.INSERT, Verb.UPSERT, Verb.REPLACE, Verb.UPDATE, Verb.DELETE))


class SqlStatement(Struct):
    """Holds a verb, and the table or the savepoint that it names.

    A ``SCHEMA`` statement has the name of the table that it creates, and a ``READ`` the one of ``SELECT INTO``; that
    table may be temporary.
    The name of an ``OTHER`` statement is its keyword, that of ``AUTOCOMMIT`` is ``ON`` or ``OFF``, and that of a
    ``COMMIT`` or ``ROLLBACK`` is ``CHAIN`` if a new transaction begins. MySQL and MariaDB end the open transaction
    before a statement with ``commits_on_mysql``.
    """

    verb: Verb
    name: str = ""
    commits_on_mysql: bool = False
    is_temporary: bool = False


# Only the head of a statement is searched: an INSERT may have megabytes of values.
_HEAD: Final = 4000
_PART: Final = r'(?:"(?:[^"]|"")+"|`(?:[^`]|``)+`|\[[^\]]+\]|[\w$]+)'
_NAME: Final = rf"(?P<name>{_PART}(?:\s*\.\s*{_PART})*)"
_BLANK: Final = r"(?:\s+|--[^\n]*(?:\n|$)|/\*.*?\*/)"
_START: Final = re.compile(rf"(?:{_BLANK}|\()*(?P<word>[A-Za-z]+)", re.DOTALL)
_PRIORITY: Final = r"(?:(?:LOW_PRIORITY|DELAYED|HIGH_PRIORITY|QUICK)\s+)?"
# MariaDB executes such a comment.
_EXECUTABLE_COMMENT: Final = re.compile(r"\s*/\*M?!")
_INSERT: Final = re.compile(
    rf"INSERT\s+(?P<replaces>OR\s+REPLACE\s+)?(?:OR\s+\w+\s+)?{_PRIORITY}(?:IGNORE\s+)?(?:INTO\s+)?{_NAME}",
    re.IGNORECASE,
)
_REPLACE: Final = re.compile(rf"REPLACE\s+{_PRIORITY}(?:INTO\s+)?{_NAME}", re.IGNORECASE)
# Of UPDATE IGNORE, the driver reports the rows that match, also those that keep their values because of a conflict.
_UPDATE: Final = re.compile(
    rf"UPDATE\s+(?:OR\s+(?!REPLACE\b)\w+\s+|ONLY\s+)?{_PRIORITY}(?!IGNORE\b){_NAME}(?:\s+(?:AS\s+)?(?!SET\b){_PART})?\s+SET\b",
    re.IGNORECASE,
)
# Atomic groups do not match a part of a name. With USING, MariaDB allows the alias of a table.
_DELETE: Final = re.compile(
    rf"DELETE\s+{_PRIORITY}(?:IGNORE\s+)?FROM\s+(?:ONLY\s+)?(?>{_NAME})(?!\s*[,.])(?P<rest>.*)",
    re.IGNORECASE | re.DOTALL,
)
_ALIAS: Final = rf"(?:\bAS|(?!USING\b|JOIN\b|ONLY\b){_PART})\s+"
# The statement of Django for joined tables on MySQL; other names before FROM may be aliases.
_DELETE_JOINED: Final = re.compile(
    rf"DELETE\s+{_PRIORITY}(?:IGNORE\s+)?(?>{_NAME})\s+FROM\s+(?P=name)(?=\s)", re.IGNORECASE
)
_TRUNCATE: Final = re.compile(rf"TRUNCATE\s+(?:TABLE\s+)?(?:ONLY\s+)?{_NAME}", re.IGNORECASE)
_SAVEPOINT: Final = re.compile(rf"(?:SAVEPOINT|RELEASE(?:\s+SAVEPOINT)?)\s+{_NAME}", re.IGNORECASE)
_ROLLBACK_TO: Final = re.compile(rf"ROLLBACK\s+(?:WORK\s+|TRANSACTION\s+)?TO\s+(?:SAVEPOINT\s+)?{_NAME}", re.IGNORECASE)
# Statements that contain another one.
_QUERIES: Final = frozenset(("SELECT", "WITH", "EXPLAIN", "ANALYZE", "SET"))
_NEW_TABLE: Final = r"(?:(?:GLOBAL|LOCAL)\s+)?(?:(?P<temporary>TEMP(?:ORARY)?)\s+|UNLOGGED\s+)?"
_CREATE: Final = re.compile(
    rf"CREATE\s+(?:OR\s+REPLACE\s+)?{_NEW_TABLE}TABLE\s+(?:IF\s+NOT\s+EXISTS\s+)?{_NAME}", re.IGNORECASE
)
_STRING: Final = re.compile(r"'(?:[^']|'')*'")
_INTO: Final = re.compile(rf"\bINTO\s+{_NEW_TABLE}(?:TABLE\s+)?{_NAME}", re.IGNORECASE)
_UPSERTS: Final = re.compile(r"\bON\s+CONFLICT\b.*?\bDO\s+UPDATE\b|\bON\s+DUPLICATE\s+KEY\b", re.IGNORECASE | re.DOTALL)
_CHANGES_IN_QUERY: Final = re.compile(
    r"\bINSERT\s+INTO\b|(?<!\bFOR\s)(?<!\bKEY\s)\bUPDATE\b(?=.*?\bSET\b)|\bDELETE\s+FROM\b|\bMERGE\s+INTO\b",
    re.IGNORECASE | re.DOTALL,
)
_AUTOCOMMIT: Final = re.compile(
    r"SET\s+(?:SESSION\s+|@@(?:session\.)?)?autocommit\s*:?=\s*(\w+)\s*;?\s*$", re.IGNORECASE
)
_CHAIN: Final = re.compile(r"\bAND\s+CHAIN\b", re.IGNORECASE)
_COMMITS_ON_MYSQL: Final = frozenset(
    """
    ALTER ANALYZE BEGIN CACHE CHECK CREATE DROP FLUSH GRANT INSTALL LOCK OPTIMIZE RENAME REPAIR RESET REVOKE START
    TRUNCATE UNINSTALL UNLOCK
    """.split()  # noqa: SIM905 - a text of words is easier to read
)
_IS_TEMPORARY: Final = re.compile(r"(?:CREATE|DROP)\s+(?:OR\s+REPLACE\s+)?TEMPORARY\b", re.IGNORECASE)
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
    if _EXECUTABLE_COMMENT.match(sql):
        return SqlStatement(verb=Verb.OTHER, name="an executable comment")
    start = _START.match(sql)
    if start is None:
        return SqlStatement(verb=Verb.READ)
    word = start["word"].upper()
    head = sql[start.start("word") : start.start("word") + _HEAD]
    if ";" in sql and _has_several(sql):
        return SqlStatement(verb=Verb.OTHER, name="several statements in one")
    found = _query(word, sql) if word in _QUERIES else _write(word, head, sql) or _other(word, head)
    return replace(found, commits_on_mysql=word in _COMMITS_ON_MYSQL and not _IS_TEMPORARY.match(head))


# A command calls few statements many times.
_parse_short: Final = lru_cache(maxsize=500)(_parse)


def unquoted(name: str) -> str:
    """Return the name of a table without quotes, in lower case where it has none; parts remain joined by a period."""
    parts = re.findall(_PART, name)
    return ".".join(
        part[1:-1].replace(part[-1] * 2, part[-1]) if part[0] in '"`[' else part.lower() for part in map(str, parts)
    )


def _write(word: str, head: str, sql: str) -> SqlStatement | None:
    match word:
        case "INSERT" if (found := _INSERT.match(head)) is not None:
            verb = Verb.UPSERT if _UPSERTS.search(sql) is not None else Verb.INSERT
            return SqlStatement(verb=Verb.REPLACE if found["replaces"] else verb, name=unquoted(found["name"]))
        case "REPLACE" if (found := _REPLACE.match(head)) is not None:
            return SqlStatement(verb=Verb.REPLACE, name=unquoted(found["name"]))
        case "UPDATE" if (found := _UPDATE.match(head)) is not None:
            return SqlStatement(verb=Verb.UPDATE, name=unquoted(found["name"]))
        case "DELETE" if (found := _DELETE_JOINED.match(head)) is not None:
            return SqlStatement(verb=Verb.DELETE, name=unquoted(found["name"]))
        case "DELETE" if (found := _DELETE.match(head)) and not _is_alias(found["name"], found["rest"]):
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
        return SqlStatement(verb=_TRANSACTION[word], name="CHAIN" if _CHAIN.search(head) else "")
    if word in _SCHEMA:
        return _creating(Verb.SCHEMA, _CREATE.match(head))
    return SqlStatement(verb=Verb.READ) if word in _READS else SqlStatement(verb=Verb.OTHER, name=word)


def _is_alias(name: str, rest: str) -> bool:
    return re.search(rf"\bUSING\b(?s:.*?){_ALIAS}{re.escape(name)}(?![\w$.])", rest, re.IGNORECASE) is not None


def _query(word: str, sql: str) -> SqlStatement:
    """Return what a query with changes inside does; one change is what the statement does as a whole."""
    if word == "SELECT":
        return _creating(Verb.READ, _into(sql))
    if word == "EXPLAIN" and not re.search(r"\bANALY[ZS]E\b", sql[:200], re.IGNORECASE):
        return SqlStatement(verb=Verb.READ)
    if word == "SET" and (autocommit := _AUTOCOMMIT.search(sql)) is not None:
        is_off = autocommit[1].upper() in {"0", "OFF", "FALSE"}
        return SqlStatement(verb=Verb.AUTOCOMMIT, name="OFF" if is_off else "ON")
    found = list(_CHANGES_IN_QUERY.finditer(sql))
    if not found:
        return SqlStatement(verb=Verb.READ)
    if word != "WITH":
        # What it reports is not the number of changed rows.
        return SqlStatement(verb=Verb.OTHER, name=word)
    # A change inside of parentheses is not what the row count of the statement is about.
    before = sql[: found[0].start()]
    if len(found) == 1 and before.count("(") == before.count(")"):
        head = sql[found[0].start() : found[0].start() + _HEAD]
        return _write(found[0][0].split()[0].upper(), head, sql) or SqlStatement(verb=Verb.OTHER, name=word)
    return SqlStatement(verb=Verb.OTHER, name=word)


def _creating(verb: Verb, table: re.Match[str] | None) -> SqlStatement:
    if table is None:
        return SqlStatement(verb=verb)
    return SqlStatement(verb=verb, name=unquoted(table["name"]), is_temporary=table["temporary"] is not None)


def _into(sql: str) -> re.Match[str] | None:
    head = sql[:_HEAD]
    return _INTO.search(_STRING.sub("''", head)) if "into" in head.lower() else None


def _has_several(sql: str) -> bool:
    text = sql.rstrip().rstrip(";")
    if ";" not in text:
        return False
    # A semicolon inside of a string separates nothing. Only a rare statement needs the parser, which Django requires.
    import sqlparse

    return len([one for one in sqlparse.split(text) if one.strip(" ;\n\t")]) > 1
