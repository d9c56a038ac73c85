"""Enables the journal for its tests, and runs them in a folder of their own."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _history(history: None) -> None:
    """Record the runs of each test of this folder."""
