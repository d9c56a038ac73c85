"""Rewrites each command step once, in every kind of list."""

from __future__ import annotations

from pathlib import Path

import pytest

from django_runbook import lookup
from django_runbook.conf import Configuration
from django_runbook.document.outline import outline
from django_runbook.document.rewriting import rewrite_commands
from django_runbook.document.runbook import CommandStep
from django_runbook.document.syntax import source
from django_runbook.document.validation import validate
from django_runbook.structs import replace

TEXT = """
steps:
  - one
  - steps: [two, {parallel: [three, four], finally: [five]}]
    on_failure: [six]
  - {id: inner, runbook: inner.yml}
on_success: [seven]
finally: [{command: eight, for_each: [1, 2]}]
"""


def test_every_command_is_changed_once_under_its_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.yml").write_text(TEXT)
    (tmp_path / "inner.yml").write_text("steps: [nine, {steps: [ten]}]")
    text, _ = source.read(tmp_path / "a.yml", name="a.yml")
    runbook, problems = validate.load(text, called=lookup.called_runbooks(tmp_path / "a.yml", Configuration()))
    assert runbook is not None
    assert problems == []
    keys: list[str] = []

    def change(key: str, step: CommandStep) -> CommandStep:
        keys.append(key)
        return replace(step, description=key)

    changed = outline(rewrite_commands(runbook, change))
    commands = {key: entry.step.description for key, entry in changed.items() if isinstance(entry.step, CommandStep)}
    assert commands == {key: key for key in keys}
    names = ["one", "two", "three", "four", "five", "six", "inner/nine", "inner/ten", "seven", "eight"]
    assert sorted(keys) == sorted(names)
