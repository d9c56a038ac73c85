"""What the tests of the journal share: it is on."""

from __future__ import annotations

import pytest
from pytest_django import Settings


@pytest.fixture(autouse=True)
def _journal(settings: Settings) -> None:
    settings.RUNBOOK = {**settings.RUNBOOK, "JOURNAL": True}
