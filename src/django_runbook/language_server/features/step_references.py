"""Finds the expressions that name a step, and the place of the name in each."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from django_runbook.document.expressions import Reference
from django_runbook.document.runbook import Runbook
from django_runbook.document.syntax.nodes import Mapping, Scalar, Sequence, span_of
from django_runbook.document.syntax.parse import parse
from django_runbook.document.syntax.source import Source
from django_runbook.document.validation.name_scopes import scoped_values
from django_runbook.language_server.cursor.cursor_scopes import expressions_of, file_content
from django_runbook.language_server.cursor.editor_text import EditorText

# What is between "steps" and an id; in a quoted scalar, quotes are doubled or escaped.
_BEFORE_ID: Final = re.compile(r"""\s*(?:\.\s*get\s*\(|\.(?!\s*get\s*\()|\[)\s*(?:''|\\?["'])?""")


def references_in(runbook: Runbook) -> Iterator[Reference]:
    """Yield each name in the expressions of a file, once for each place."""
    seen = set()
    for value, _, _ in scoped_values(file_content(runbook)):
        for expression in expressions_of(value):
            for reference in expression.references:
                if reference not in seen:
                    seen.add(reference)
                    yield reference


def reference_at(runbook: Runbook, text: EditorText, offset: int) -> Reference | None:
    """Return the name at an offset."""
    for reference in references_in(runbook):
        start, end = text.offsets_of(reference.span)
        if start <= offset <= end:
            return reference
    return None


def place_of_id(reference: Reference, text: EditorText) -> tuple[int, int] | None:
    """Return the offsets of the id in a reference to a step; None if it is written with escapes."""
    start, _ = text.offsets_of(reference.span)
    step_id = reference.path[0]
    found = _BEFORE_ID.match(text.text, start + len(reference.root))
    if found is None or not text.text.startswith(step_id, found.end()):
        return None
    return found.end(), found.end() + len(step_id)


def ids_in(source: Source) -> dict[str, Scalar]:
    """Return the nodes of the ids that the steps of a file are given."""
    root = parse(source).root
    return dict(_ids_below(root)) if isinstance(root, Mapping) else {}


def place_of_value(node: Scalar, text: EditorText) -> tuple[int, int] | None:
    """Return the offsets of the text of a scalar without its quotes; None if it is written with escapes."""
    start, end = text.offsets_of(span_of(node))
    found = text.text.find(node.text, start, end)
    return (found, found + len(node.text)) if found >= 0 else None


def _ids_below(mapping: Mapping) -> Iterator[tuple[str, Scalar]]:
    for _, value in mapping.entries:
        for item in value.items if isinstance(value, Sequence) else ():
            if isinstance(item, Mapping):
                for key, inner in item.entries:
                    if key.text == "id" and isinstance(inner, Scalar):
                        yield inner.text, inner
                yield from _ids_below(item)
