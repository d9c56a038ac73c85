"""Finds the definition of what the cursor is on: a step, a parameter, a variable, a runbook, or a command's class."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django_runbook.binding import catalog
from django_runbook.binding.quiet import quiet
from django_runbook.document.diagnostics import Span
from django_runbook.document.expressions import Reference
from django_runbook.document.outline import outline
from django_runbook.document.syntax.nodes import Mapping, Node, Scalar, Sequence, span_of
from django_runbook.document.syntax.parse import parse
from django_runbook.language_server.cursor.command_words import words_at
from django_runbook.language_server.cursor.cursor_places import CursorPlace, place_at
from django_runbook.language_server.features.answers import DefinitionPlace
from django_runbook.language_server.features.questions import Question, is_command_line, part_of_step
from django_runbook.language_server.features.step_references import ids_in, reference_at

_BEGINNING = Span(1, 1, 1, 1)


def define(question: Question) -> DefinitionPlace | None:
    """Return where the thing at the cursor is defined; None if that is nowhere."""
    runbook = question.runbook
    reference = reference_at(runbook, question.text, question.offset) if runbook is not None else None
    if reference is not None:
        return _of_reference(reference, question)
    place = place_at(question.text, question.offset)
    if place is None:
        return None
    if is_command_line(place, question):
        return _of_command(place, question)
    return _of_call(place, question)


def _of_reference(reference: Reference, question: Question) -> DefinitionPlace | None:
    root, path = reference.root, reference.path
    runbook = question.runbook
    if not path or runbook is None:
        return None
    if root == "steps":
        node = ids_in(question.source).get(path[0])
        if node is not None:
            return DefinitionPlace(None, span_of(node))
        entry = outline(runbook).get(path[0])
        return DefinitionPlace(None, entry.step.span) if entry is not None else None
    return _in_file(root, path[0], question)


def _in_file(key: str, name: str, question: Question) -> DefinitionPlace | None:
    """Return the place of a name below a key of the file: a parameter, a variable or a secret."""
    file = parse(question.source).root
    for found, value in file.entries if isinstance(file, Mapping) else ():
        if found.text != key:
            continue
        for node in _declared_in(value):
            if isinstance(node, Scalar) and node.text == name:
                return DefinitionPlace(None, span_of(node))
    return None


def _declared_in(node: Node) -> Iterator[Node]:
    """Yield the nodes that may be a name: the keys of a mapping, or the items of a list, each alone or as its name."""
    if isinstance(node, Mapping):
        yield from (key for key, _ in node.entries)
    for item in node.items if isinstance(node, Sequence) else ():
        yield item
        yield from (value for key, value in item.entries if key.text == "name") if isinstance(item, Mapping) else ()


def _of_command(place: CursorPlace, question: Question) -> DefinitionPlace | None:
    words = words_at(place.before, place.after, mark=place.mark)
    name = words.words[0] if words is not None and words.words else words.whole if words is not None else ""
    if name not in question.project.catalog.names:
        return None
    return place_of_class(name)


def place_of_class(name: str) -> DefinitionPlace | None:
    """Return the file and the line of the class of a command; None if it has no file."""
    try:
        with quiet():
            command: Any = catalog.load(name)
    except (Exception, SystemExit):  # noqa: BLE001 - the module of a command may raise anything; the check reports it
        return None
    # A class that is made at runtime has no lines of its own.
    module = inspect.getmodule(type(command))
    for candidate in (type(command), *((module,) if module is not None else ())):
        try:
            file, line = inspect.getsourcefile(candidate), inspect.getsourcelines(candidate)[1]
        except (OSError, TypeError):
            continue
        if file is not None:
            return DefinitionPlace(Path(file), Span(max(line, 1), 1, max(line, 1), 1))
    return None


def _of_call(place: CursorPlace, question: Question) -> DefinitionPlace | None:
    call = part_of_step(place, question, "runbook", "params")
    if call is None:
        return None
    called = question.called_runbook(_without_mark(call.step, place))
    if called is None:
        return None
    path, runbook = called
    if call.key == "params" and call.rest:
        name = str(call.rest[0]).replace(place.mark, "")
        span = next((param.span for param in runbook.params if param.name == name), None)
        return DefinitionPlace(path, span) if span is not None else None
    return DefinitionPlace(path, _BEGINNING)


def _without_mark(step: Mapping, place: CursorPlace) -> Mapping:
    entries: list[tuple[Scalar, Node]] = [
        (key, Scalar(value.text.replace(place.mark, ""), value.is_plain, value.start, value.end))
        for key, value in step.entries
        if isinstance(value, Scalar)
    ]
    return Mapping(entries, step.start, step.end)
