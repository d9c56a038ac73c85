from __future__ import annotations

import importlib.util
from typing import Any

import pytest
from django.core.management import CommandError, call_command


def test_the_missing_package_is_named_with_the_extra_that_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(CommandError) as missing:
        call_command("runbook_lsp")
    assert "pip install 'django-runbook[editor]'" in str(missing.value)
    assert missing.value.returncode == 2


def test_a_wrong_setting_is_reported_before_the_editor_waits(settings: Any) -> None:
    settings.RUNBOOK = {"DIRZ": []}
    with pytest.raises(CommandError) as wrong:
        call_command("runbook_lsp")
    assert "DIRS" in str(wrong.value)
