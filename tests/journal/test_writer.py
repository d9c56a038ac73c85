"""Tests how rows are written if the database refuses."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from django.db import DataError, OperationalError

from django_runbook.exceptions import JournalLost
from django_runbook.journal.connection import JournalConnection
from django_runbook.journal.writer import Writer
from django_runbook.models import Run


@pytest.mark.django_db
def test_a_note_does_not_wait_for_a_busy_database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: pytest.fail("it waits"))

    def refusing(error: Exception) -> Any:
        def note(**changes: Any) -> bool:
            raise error

        return SimpleNamespace(note=note)

    writer = Writer(Run(), connection=JournalConnection("default"))
    writer.note(refusing(OperationalError("database is locked")), {})
    with pytest.raises(JournalLost):
        writer.note(refusing(DataError("too long")), {})
