"""Provides the lock backends as fixtures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.locks.backends import DEFINITIONS, Backend, backend_of, new_name
from tests.postgres_settings import POSTGRES
from tests.services import require_postgres


@pytest.fixture(
    params=["file", *(pytest.param(name, marks=pytest.mark.slow) for name in DEFINITIONS if name != "file")]
)
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    with backend_of(request.param, tmp_path / "locks") as backend:
        yield backend


@pytest.fixture
def name() -> str:
    return new_name()


@pytest.fixture
def server() -> Iterator[psycopg.Connection[Any]]:
    """Open a connection that inspects PostgreSQL."""
    require_postgres()
    database = POSTGRES
    with psycopg.connect(
        host=database["HOST"],
        port=database["PORT"],
        user=database["USER"],
        password=database["PASSWORD"],
        dbname=database["NAME"],
        autocommit=True,
    ) as connection:
        yield connection
