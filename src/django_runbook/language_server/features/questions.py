"""Defines what an editor asks about: a place in the text of a runbook, in a project."""

from __future__ import annotations

import re
from functools import cached_property
from pathlib import Path
from typing import Final

from django_runbook.document.runbook import Runbook
from django_runbook.document.syntax.nodes import Mapping, Scalar
from django_runbook.document.syntax.source import Source
from django_runbook.document.validation import validate
from django_runbook.editor.value_schemas import Schema
from django_runbook.language_server.cursor.cursor_places import CursorPlace
from django_runbook.language_server.cursor.editor_text import EditorText
from django_runbook.language_server.cursor.schema_walk import properties_of
from django_runbook.language_server.workspace.project import Project
from django_runbook.structs import Struct

_WORD: Final = re.compile(r"[^\s\"'=,\[\]{}:|()]*")


class Question(Struct, dict=True):
    """Asks about an offset in the text of the runbook at ``path``."""

    text: EditorText
    offset: int
    path: Path
    project: Project

    @cached_property
    def source(self) -> Source:
        return Source(path=str(self.path), text=self.text.text)

    @cached_property
    def runbook(self) -> Runbook | None:
        """Return everything readable, without the runbooks that it calls."""
        return validate.load(self.source)[0]

    @property
    def start_of_word(self) -> int:
        """Return where the word before the cursor begins."""
        start, _ = self.text.line_around(self.offset)
        before = self.text.text[start : self.offset]
        return self.offset - len(next(_WORD.finditer(before[::-1]))[0])

    @property
    def end_of_word(self) -> int:
        """Return where the word after the cursor ends."""
        return next(_WORD.finditer(self.text.text, self.offset)).end()

    def called_runbook(self, step: Mapping) -> tuple[Path, Runbook] | None:
        """Return the file that a step calls, with what is readable in it."""
        name = text_of(step, "runbook")
        path = self.project.find_runbook(name, self.path) if name else None
        source = self.project.read(path) if path is not None else None
        runbook = validate.load(source)[0] if source is not None else None
        return (path, runbook) if path is not None and runbook is not None else None


class StepPart(Struct):
    """Locates the cursor below a key of a step: ``rest`` leads on from the value of the key."""

    step: Mapping
    key: str
    rest: tuple[int | str, ...]


def part_of_step(place: CursorPlace, question: Question, *keys: str) -> StepPart | None:
    """Return the part of a step under one of these keys that contains the cursor."""
    for index, (node, name) in enumerate(place.around):
        if isinstance(node, Mapping) and name in keys:
            around = place.around[:index]
            # A key of the file may have the same name.
            if around and question.project.schema.at((*around, (node, name))):
                rest = tuple(inner for _, inner in place.around[index + 1 :])
                return StepPart(step=node, key=str(name), rest=rest)
    return None


def schemas_of(place: CursorPlace, question: Question) -> list[Schema]:
    """Return the schemas of the value at the cursor, or of the mapping whose key is there."""
    if place.is_key:
        return question.project.schema.at(place.around[:-1], place.around[-1][0])
    return question.project.schema.at(place.around)


def is_command_line(place: CursorPlace, question: Question) -> bool:
    """Return whether the scalar at the cursor is a command line."""
    return not place.is_key and question.project.schema.has(schemas_of(place, question), "line")


def is_condition(place: CursorPlace, question: Question) -> bool:
    """Return whether the scalar at the cursor is an expression without braces."""
    return not place.is_key and question.project.schema.has(schemas_of(place, question), "condition")


def text_of_key(place: CursorPlace, question: Question) -> str:
    """Return the documentation of the key whose value, or an item of it, is at the cursor; empty if it has none."""
    for index in range(len(place.around) - 1, -1, -1):
        node, name = place.around[index]
        if isinstance(name, str):
            schemas = question.project.schema.at(place.around[:index], node)
            text: str = properties_of(schemas).get(name, {}).get("markdownDescription", "")
            return text
    return ""


def text_of(mapping: Mapping, key: str) -> str:
    """Return the text of a key of a mapping; empty if it has none."""
    return next((value.text for name, value in mapping.entries if name.text == key and isinstance(value, Scalar)), "")
