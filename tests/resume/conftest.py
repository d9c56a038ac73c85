"""Enables the journal for the tests of resume."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _history(history: None) -> None:
    """Record the runs of each test of this folder."""
