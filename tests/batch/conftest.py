"""A database on each engine, made once for all tests of the library and emptied for each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connections

from django_runbook.batch.core import checkpoint_tables
from django_runbook.models.checkpoints import Checkpoint, FailedRow
from tests.batch import engines
from tests.batch.engines import Engine


@pytest.fixture(scope="session")
def _engines(
    django_db_setup: None, django_db_blocker: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Any]]:
    """The engines that were asked for, by name, each with the generator that ends it."""
    made: dict[str, Any] = {}
    yield {"made": made, "directory": tmp_path_factory.mktemp("engines")}
    with django_db_blocker.unblock():
        for generator, _ in made.values():
            next(generator, None)


def _engine(vendor: str, found: dict[str, Any], blocker: Any) -> Iterator[Engine]:
    with blocker.unblock():
        if vendor not in found["made"]:
            generator = engines.make(vendor, found["directory"])
            found["made"][vendor] = (generator, next(generator))
        engine: Engine = found["made"][vendor][1]
        with engine.known():
            engine.clear()
            yield engine


@pytest.fixture(params=engines.VENDORS)
def engine(request: pytest.FixtureRequest, _engines: dict[str, Any], django_db_blocker: Any) -> Iterator[Engine]:
    """An empty database on each engine in turn."""
    yield from _engine(request.param, _engines, django_db_blocker)


@pytest.fixture
def postgresql(_engines: dict[str, Any], django_db_blocker: Any) -> Iterator[Engine]:
    """An empty database on PostgreSQL."""
    yield from _engine("postgresql", _engines, django_db_blocker)


@pytest.fixture
def mariadb(_engines: dict[str, Any], django_db_blocker: Any) -> Iterator[Engine]:
    """An empty database on MariaDB."""
    yield from _engine("mariadb", _engines, django_db_blocker)


@pytest.fixture
def sqlite(_engines: dict[str, Any], django_db_blocker: Any) -> Iterator[Engine]:
    """An empty database on SQLite."""
    yield from _engine("sqlite", _engines, django_db_blocker)


@pytest.fixture
def default_tables(sqlite: Engine) -> None:
    """Create the tables of the default database, unless another test of the session has done so."""
    # An earlier test may have closed the descriptor of the connection.
    connections["default"].close()
    settings = connections["default"].settings_dict
    if settings["NAME"] == settings["TEST"]["NAME"] and not checkpoint_tables.has_table("default"):
        # pytest-django sets it up only if a test of the session is marked.
        call_command("migrate", verbosity=0)


@pytest.fixture
def without_table(sqlite: Engine, default_tables: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """A database without the tables of checkpoints, which the default database has."""
    has_table = checkpoint_tables.has_table
    monkeypatch.setattr(checkpoint_tables, "has_table", lambda alias: alias != sqlite.alias and has_table(alias))
    yield sqlite
    Checkpoint.objects.all().delete()
    FailedRow.objects.all().delete()
