"""Reads the text of a runbook for the tests of a rule."""

from __future__ import annotations

from django_runbook.document.syntax.nodes import Mapping
from django_runbook.document.syntax.parse import parse
from django_runbook.document.syntax.source import Source
from django_runbook.document.validation.reading import FileContent
from django_runbook.document.validation.validate import load


def read_file(text: str) -> FileContent:
    """Parse the text of a runbook into the content that a rule receives."""
    source = Source(path="nightly.yml", text=text)
    runbook, _ = load(source)
    root = parse(source).root
    assert runbook is not None
    assert isinstance(root, Mapping)
    return FileContent(runbook=runbook, keys={key.text: (key, value) for key, value in root.entries})
