"""Renames a step: its id, and every expression of the file that names it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from django_runbook.document.expressions import Reference
from django_runbook.document.keys import EXPECTED
from django_runbook.document.outline import outline
from django_runbook.document.runbook import Runbook
from django_runbook.document.syntax.nodes import Scalar
from django_runbook.document.syntax.source import Source
from django_runbook.document.validation import validate
from django_runbook.language_server.cursor.editor_text import EditorText
from django_runbook.language_server.features.answers import TextEdit
from django_runbook.language_server.features.questions import Question
from django_runbook.language_server.features.step_references import (
    ids_in,
    place_of_id,
    place_of_value,
    references_in,
)

_ID: Final = re.compile(r"[a-z][a-z0-9_]{0,99}")
# Any other error may hide a step, or an expression that names one.
_HARMLESS: Final = re.compile(r"RB(206|208|21[1-9]|2[2-9]\d|30[5-9]|310|312|320|4\d\d)")


class RefusedRenameError(Exception):
    """Reports why a step cannot be renamed."""


def id_at(question: Question) -> tuple[str, int, int]:
    """Return the id at the cursor and its offsets; raise RefusedRenameError if there is none that can be renamed."""
    text, offset = question.text, question.offset
    ids = ids_in(question.source)
    for step_id, node in ids.items():
        place = place_of_value(node, text)
        if place is not None and place[0] <= offset <= place[1]:
            return step_id, *place
    for reference in references_in(question.runbook) if question.runbook is not None else ():
        place = place_of_id(reference, text) if _names_step(reference) else None
        if place is None or not place[0] <= offset <= place[1]:
            continue
        if reference.path[0] not in ids:
            message = f'the step "{reference.path[0]}" is named after its command: give it an "id" first'
            raise RefusedRenameError(message)
        return reference.path[0], *place
    raise RefusedRenameError("the cursor is not on the ID of a step")


def rename(question: Question, new_id: str) -> list[TextEdit]:
    """Return the edits that rename the step at the cursor; raise RefusedRenameError."""
    runbook, diagnostics = validate.load(question.source)
    unreadable = next((item for item in diagnostics if not _HARMLESS.fullmatch(item.code)), None)
    if runbook is None or unreadable is not None:
        where = f" in line {unreadable.span.line}" if unreadable is not None else ""
        raise RefusedRenameError(f"the file may have names that cannot be read: fix the error{where} first")
    step_id, _, _ = id_at(question)
    _check_name(new_id, step_id, runbook, ids_in(question.source))
    if new_id == step_id:
        return []
    places = places_of(step_id, question)
    edits = [TextEdit(start, end, new_id) for start, end in places]
    _check_other_ids(runbook, _applied(question.text, edits), step_id=step_id, new_id=new_id)
    return edits


def places_of(step_id: str, question: Question) -> list[tuple[int, int]]:
    """Return the places of an id, where it is given and in expressions; raise RefusedRenameError if one is escaped."""
    text, runbook = question.text, question.runbook
    node = ids_in(question.source).get(step_id)
    found = [] if node is None else [(place_of_value(node, text), node.start.line + 1)]
    found += [
        (place_of_id(reference, text), reference.span.line)
        for reference in (references_in(runbook) if runbook is not None else ())
        if _names_step(reference) and reference.path[0] == step_id
    ]
    escaped = next((line for place, line in found if place is None), None)
    if escaped is not None:
        raise RefusedRenameError(f'"{step_id}" is written with escapes in line {escaped}: write it plainly first')
    return sorted({place for place, _ in found if place is not None})


def _names_step(reference: Reference) -> bool:
    return reference.root == "steps" and bool(reference.path)


def _check_name(new_id: str, step_id: str, runbook: Runbook, ids: Mapping[str, Scalar]) -> None:
    if _ID.fullmatch(new_id) is None:
        raise RefusedRenameError(f'"{new_id}" is not an id: it must be {EXPECTED["id"]}')
    if new_id != step_id and (new_id in ids or new_id in _ids_of(runbook)):
        raise RefusedRenameError(f'the id "{new_id}" is taken: choose a different one')


def _check_other_ids(runbook: Runbook, text: str, *, step_id: str, new_id: str) -> None:
    """Raise RefusedRenameError if a step without an id would be named differently: its name may be free now."""
    renamed, _ = validate.load(Source(path=runbook.path, text=text))
    before, after = _ids_of(runbook), _ids_of(renamed) if renamed is not None else []
    expected = [new_id if one == step_id else one for one in before]
    for old, new in zip(expected, after, strict=False):
        if old != new:
            message = f'this would rename the step "{old}" to "{new}", since it is named after its command'
            raise RefusedRenameError(f'{message}: give it an "id" first')


def _ids_of(runbook: Runbook) -> list[str]:
    return list(outline(runbook))


def _applied(text: EditorText, edits: Iterable[TextEdit]) -> str:
    changed = text.text
    for edit in sorted(edits, key=lambda edit: edit.start, reverse=True):
        changed = f"{changed[: edit.start]}{edit.text}{changed[edit.end :]}"
    return changed
