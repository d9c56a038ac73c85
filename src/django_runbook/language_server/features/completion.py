"""Suggests what can be written at the cursor."""

from __future__ import annotations

from collections.abc import Iterator

from django_runbook.language_server.cursor.cursor_places import CursorPlace, places_at
from django_runbook.language_server.cursor.cursor_scopes import scope_at
from django_runbook.language_server.cursor.expression_cursor import cursor_in, expression_around
from django_runbook.language_server.cursor.schema_walk import properties_of
from django_runbook.language_server.features.answers import Suggestion, SuggestionKind
from django_runbook.language_server.features.command_completion import complete_line, complete_option, complete_value
from django_runbook.language_server.features.expression_names import Name, about_param, names_at
from django_runbook.language_server.features.questions import (
    Question,
    is_command_line,
    is_condition,
    part_of_step,
    schemas_of,
    text_of_key,
)
from django_runbook.language_server.features.suggestions import key_suggestion, value_suggestion
from django_runbook.language_server.features.yaml_texts import as_scalar


def complete(question: Question) -> list[Suggestion]:
    """Return what can be written at the cursor, each suggestion once."""
    found: dict[tuple[str, SuggestionKind], Suggestion] = {}
    # In a new step, its command is most likely what will be written.
    for place in sorted(places_at(question.text, question.offset), key=lambda place: place.is_key):
        for suggestion in _at(place, question):
            found.setdefault((suggestion.label, suggestion.kind), suggestion)
    return list(found.values())


def _at(place: CursorPlace, question: Question) -> Iterator[Suggestion]:
    if place.is_key:
        yield from _keys(place, question)
        return
    condition = is_condition(place, question)
    expression = expression_around(place, is_condition=condition)
    if expression is not None:
        yield from _names(place, question, expression, condition=condition)
    elif is_command_line(place, question):
        yield from complete_line(place, question)
    else:
        yield from _values(place, question)


def _names(
    place: CursorPlace, question: Question, expression: tuple[str, str], *, condition: bool
) -> Iterator[Suggestion]:
    cursor = cursor_in(*expression)
    scope = scope_at(place, is_condition=condition) if cursor is not None else None
    if cursor is None or scope is None:
        return
    start = question.offset - len(cursor.beginning)
    for name in names_at(cursor, scope):
        yield _name(name, question, start=start, opening=cursor.opening)


def _name(name: Name, question: Question, *, start: int, opening: str) -> Suggestion:
    text = f"{name.name}()" if name.is_function and not opening.startswith("[") else name.name
    matched = ""
    if opening == "." and not name.name.isidentifier():
        # Such a name is a key in brackets; the dot is replaced.
        quote = "'" if question.text.text.count('"', *question.text.line_around(question.offset)) else '"'
        text, start, matched = f"[{quote}{name.name}{quote}]", start - 1, f".{name.name}"
    return Suggestion(
        label=name.name,
        kind=name.kind,
        start=start,
        end=question.offset,
        text=text,
        matched=matched,
        detail=name.detail,
        help=name.help,
    )


def _keys(place: CursorPlace, question: Question) -> Iterator[Suggestion]:
    options = part_of_step(place, question, "options")
    if options is not None and len(options.rest) == 1:
        yield from complete_option(options.step, place, question)
        return
    call = part_of_step(place, question, "params")
    if call is not None and len(call.rest) == 1:
        called = question.called_runbook(call.step)
        for param in called[1].params if called is not None else ():
            yield key_suggestion(param.name, question, detail=param.type, help_text=about_param(param))
        return
    given = place.given_keys
    for key, schema in properties_of(schemas_of(place, question)).items():
        if key not in given:
            yield key_suggestion(key, question, help_text=schema.get("markdownDescription", ""))


def _values(place: CursorPlace, question: Question) -> Iterator[Suggestion]:
    options = part_of_step(place, question, "options")
    if options is not None and options.rest:
        yield from complete_value(options.step, str(options.rest[0]), question)
        return
    call = part_of_step(place, question, "runbook")
    if call is not None and not call.rest:
        # The name may have a folder, so all that is written is replaced.
        start = question.offset - len(place.before)
        for name in question.project.list_runbooks(question.path):
            yield Suggestion(
                label=name, kind=SuggestionKind.FILE, start=start, end=question.offset, text=name, matched=name
            )
        return
    key = next((name for _, name in reversed(place.around) if isinstance(name, str)), "")
    listed = question.project.values.get(key, tuple)
    for value in (*question.project.schema.values(schemas_of(place, question)), *listed()):
        yield value_suggestion(value, question, text=as_scalar(value), help_text=text_of_key(place, question))
