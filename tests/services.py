"""Whether a service that a test needs is there: in CI it must be, elsewhere the test is skipped with the reason."""

from __future__ import annotations

import contextlib
import math
import os
import shutil
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

import psycopg
import pymysql
import pytest
import redis
from django.db import OperationalError, connections

from tests import postgres_settings
from tests.patience import scaled

AMQP_ADDRESS = os.environ.get("AMQP_ADDRESS", "127.0.0.1:5672")
REDIS_URL = os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0")


def _connect() -> psycopg.Connection[tuple[int]]:
    database = postgres_settings.POSTGRES
    return psycopg.connect(
        host=database["HOST"],
        port=database["PORT"],
        user=database["USER"],
        password=database["PASSWORD"],
        dbname=database["NAME"],
        connect_timeout=math.ceil(scaled(3)),
    )


def running_statements(word: str) -> int:
    """How many statements with this word the server is at, without the one that asks."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE %s AND pid <> pg_backend_pid()"
    with _connect() as connection:
        row = connection.execute(query, [f"%{word}%"]).fetchone()
    assert row is not None
    return row[0]


def require_postgres() -> None:
    """Skip the test, or in CI fail it, where PostgreSQL cannot be reached."""
    database = postgres_settings.POSTGRES
    try:
        _connect().close()
    except psycopg.OperationalError as error:
        missing(f"PostgreSQL at {database['HOST']}:{database['PORT']} cannot be reached: {error}")


def require_mariadb() -> None:
    """The same for MariaDB."""
    from tests.mariadb_settings import MARIADB

    try:
        pymysql.connect(
            host=MARIADB["HOST"], port=int(MARIADB["PORT"]), user=MARIADB["USER"], password=MARIADB["PASSWORD"]
        ).close()
    except pymysql.OperationalError as error:
        missing(f"MariaDB at {MARIADB['HOST']}:{MARIADB['PORT']} cannot be reached: {error}")


def require_database(alias: str) -> None:
    """The same for the database of an alias."""
    try:
        connections[alias].ensure_connection()
    except OperationalError as error:
        missing(f"{connections[alias].display_name} cannot be reached: {error}")


@contextlib.contextmanager
def alias_added(alias: str, settings: Mapping[str, Any]) -> Iterator[str]:
    """Add an alias to DATABASES for a while."""
    connections.settings[alias] = dict(settings)
    connections.configure_settings(connections.settings)
    try:
        yield alias
    finally:
        connections[alias].close()
        del connections[alias], connections.settings[alias]


def require_redis() -> None:
    """The same for Redis."""
    try:
        with redis.Redis.from_url(REDIS_URL, socket_timeout=scaled(3)) as client:
            client.ping()
    except redis.RedisError as error:
        missing(f"Redis at {REDIS_URL} cannot be reached: {error}")


def require_rabbitmq() -> None:
    """The same for RabbitMQ."""
    import amqp

    connection = amqp.Connection(AMQP_ADDRESS)
    try:
        connection.connect()
        connection.close()
    except OSError as error:
        connection.collect()
        missing(f"RabbitMQ at {AMQP_ADDRESS} cannot be reached: {error}")


def require_program(name: str) -> str:
    """The path of a program that a test starts."""
    # Debian keeps servers where the PATH of a user does not lead.
    path = shutil.which(name, path=os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin")))
    if path is None:
        missing(f"the program {name} is not installed")
    return path


def missing(reason: str) -> NoReturn:
    """Skip the test, or in CI fail it."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


class GoneCache:
    """Raises an error like a cache whose server is gone."""

    def __getattr__(self, name: str) -> object:
        raise ConnectionError("the cache is gone")
