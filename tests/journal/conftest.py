"""Enables the journal for its tests, and runs them in a folder of their own."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytest_django import Settings


@pytest.fixture(autouse=True)
def _journal(settings: Settings) -> None:
    settings.RUNBOOK = {**settings.RUNBOOK, "JOURNAL": True}


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
