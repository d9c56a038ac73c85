"""Gives the tests of the admin a client, and locks that they control."""

from __future__ import annotations

import pytest
from django.test import Client

from django_runbook.locks.base import Probe
from tests.admin.support import (
    OURS,
    client_of,
    use,
)


@pytest.fixture(autouse=True)
def free_locks(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The IDs of the runs whose process is dead; all others are alive."""
    free = set[str]()
    use(monkeypatch, lambda name: Probe.FREE if name.split()[1] in free else Probe.HELD)
    return free


@pytest.fixture
def client() -> Client:
    return client_of(*OURS)
