"""Tests keys and their cursors."""

from __future__ import annotations

import pytest
from django.core.management.base import CommandError
from django.db.models import DateTimeField

from django_runbook.batch.sources.keyset import Key
from tests.batch.commands import MOMENT
from tests.batchapp.models import WithMoment, WithNumber


def test_a_key_that_does_not_survive_its_text_form_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DateTimeField, "value_to_string", lambda self, row: row.id.isoformat(timespec="milliseconds"))
    with pytest.raises(CommandError, match="cannot be a cursor"):
        Key(WithMoment).encode([MOMENT])


def test_a_key_survives_its_text_form() -> None:
    assert Key(WithNumber).encode([-5]) == '["-5"]'
    assert Key(WithNumber).decode('["-5"]') == (-5,)
