"""Finds the names in scope at the cursor: the expression there is replaced by a single word, and the check finds it."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Mapping as MappingOf

from django_runbook.document.expressions import CLOSE, OPEN, Expression, Template, end_of_expression
from django_runbook.document.keys import VERBS
from django_runbook.document.outline import outline
from django_runbook.document.runbook import Runbook, Step
from django_runbook.document.syntax.nodes import Mapping, Sequence
from django_runbook.document.syntax.source import Source
from django_runbook.document.validation import validate
from django_runbook.document.validation.name_scopes import Value, scoped_values
from django_runbook.document.validation.reading import FileContent
from django_runbook.document.validation.reference_checks import NameScope
from django_runbook.language_server.cursor.cursor_places import CursorPlace
from django_runbook.structs import Struct, replace


class CursorScope(Struct):
    """Holds the names in scope, and what the file says about them."""

    scope: NameScope
    runbook: Runbook
    steps: MappingOf[str, Step]


def scope_at(place: CursorPlace, *, is_condition: bool) -> CursorScope | None:
    """Return the names in scope at a place; None if no expression is evaluated there."""
    text = _with_word(place, is_condition=is_condition)
    for complete in (text, _with_command(text, place)):
        runbook, _ = validate.load(Source(path=place.source.path, text=complete))
        found = _scope_of(place.mark, runbook) if runbook is not None else None
        if found is not None:
            return found
    return None


def _scope_of(mark: str, runbook: Runbook) -> CursorScope | None:
    for value, scope, _ in scoped_values(file_content(runbook)):
        if any(expression.source == mark for expression in expressions_of(value)):
            # The walk changes its scopes while it lasts.
            frozen = replace(scope, steps=dict(scope.steps), later_steps=set(scope.later_steps))
            steps = {entry.key: entry.step for entry in outline(runbook).values()}
            return CursorScope(scope=frozen, runbook=runbook, steps=steps)
    return None


def file_content(runbook: Runbook) -> FileContent:
    """Return what the rules check, of a runbook alone."""
    return FileContent(runbook=runbook, keys={})


def expressions_of(value: Value) -> Iterator[Expression]:
    """Yield the expressions of a value."""
    if isinstance(value, Expression):
        yield value
    elif isinstance(value, Template):
        yield from value.expressions


def _with_word(place: CursorPlace, *, is_condition: bool) -> str:
    """Return the text with the mark alone in place of the whole expression."""
    text, mark = place.source.text, place.mark
    start, end = place.scalar.start.index, place.scalar.end.index
    is_block = text[start : start + 1] in {"|", ">"}
    # A block ends with its line break.
    tail = "\n" if is_block else ""
    if is_condition:
        return f"{text[:start]}{mark}{tail}{text[end:]}"
    at = text.index(mark, start)
    opening = text.rfind(OPEN, start, at) + len(OPEN)
    closing = end_of_expression(text, opening)
    if closing is not None and closing < end:
        return f"{text[:opening]} {mark} {text[closing:]}"
    quote = text[start : start + 1] if text[start : start + 1] in {"'", '"'} else ""
    return f"{text[:opening]} {mark} {CLOSE}{quote}{tail}{text[end:]}"


def _with_command(text: str, place: CursorPlace) -> str:
    """Return the text with a command in the step around the cursor if it has none yet: it would be no step."""
    for (node, _), (outer, _) in zip(reversed(place.around), reversed(place.around[:-1]), strict=False):
        if isinstance(node, Mapping) and isinstance(outer, Sequence):
            if any(key.text in VERBS for key, _ in node.entries):
                return text
            start = node.start.index
            if text.startswith("{", start):
                return f"{text[: start + 1]}command: {place.mark}, {text[start + 1 :]}"
            return f"{text[:start]}command: {place.mark}\n{' ' * node.start.column}{text[start:]}"
    return text
