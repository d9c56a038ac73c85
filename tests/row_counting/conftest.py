"""Gives the tests tables of their own on each database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connections

from tests.batch.databases import VENDORS, alias_on
from tests.row_counting.test_counting import Desk, new_desk


@pytest.fixture(params=VENDORS)
def desk(request: pytest.FixtureRequest, tmp_path: Path, django_db_blocker: Any) -> Iterator[Desk]:
    with django_db_blocker.unblock(), alias_on(request.param, tmp_path) as alias:
        desk = new_desk(alias, request.param)
        try:
            yield desk
        finally:
            connections[alias].close()
            for model in (desk.log, desk.part, desk.row):
                desk.run(f"DROP TABLE IF EXISTS {model._meta.db_table}")
            if request.param == "postgresql":
                desk.run(f"DROP FUNCTION IF EXISTS {desk.row._meta.db_table}_f")
