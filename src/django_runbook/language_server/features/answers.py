"""Defines the answers to an editor as values; their places are offsets in the text."""

from __future__ import annotations

import enum
from pathlib import Path

from django_runbook.document.diagnostics import Span
from django_runbook.structs import Struct


class SuggestionKind(enum.Enum):
    COMMAND = "command"
    KEY = "key"
    OPTION = "option"
    VALUE = "value"
    VARIABLE = "variable"
    STEP = "step"
    ATTRIBUTE = "attribute"
    FUNCTION = "function"
    FILE = "file"


class Suggestion(Struct):
    """Suggests to replace the text between two offsets.

    The user has written the beginning of ``matched``, or of ``label`` if that is empty. ``command`` names the command
    whose help is loaded once the suggestion is looked at.
    """

    label: str
    kind: SuggestionKind
    start: int
    end: int
    text: str = ""
    matched: str = ""
    detail: str = ""
    help: str = ""
    command: str = ""


class HelpText(Struct):
    """Explains the text between two offsets, in Markdown."""

    text: str
    start: int
    end: int


class DefinitionPlace(Struct, kw_only=False):
    """Locates a definition; a ``path`` of None is the file that was asked about."""

    path: Path | None
    span: Span


class TextEdit(Struct, kw_only=False):
    """Replaces the text between two offsets."""

    start: int
    end: int
    text: str
