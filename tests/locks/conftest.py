"""The backends of the locks as fixtures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.locks.backends import NAMES, Backend, backend_of, new_name


@pytest.fixture(params=NAMES)
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    with backend_of(request.param, tmp_path / "locks") as backend:
        yield backend


@pytest.fixture
def name() -> str:
    return new_name()
