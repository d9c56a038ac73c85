"""Explains what the cursor is on: a key, a command, an option, or a name in an expression."""

from __future__ import annotations

from django_runbook import argparse_compat
from django_runbook.language_server.cursor.command_words import argument_at, match_of, words_at
from django_runbook.language_server.cursor.cursor_places import CursorPlace, place_at
from django_runbook.language_server.cursor.cursor_scopes import scope_at
from django_runbook.language_server.cursor.expression_cursor import cursor_in, expression_around
from django_runbook.language_server.cursor.schema_walk import properties_of
from django_runbook.language_server.features.answers import HelpText
from django_runbook.language_server.features.command_completion import matches_of
from django_runbook.language_server.features.expression_names import about_param, names_at
from django_runbook.language_server.features.option_texts import markdown_of
from django_runbook.language_server.features.questions import (
    Question,
    is_command_line,
    is_condition,
    part_of_step,
    schemas_of,
    text_of_key,
)


def explain(question: Question) -> HelpText | None:
    """Return the help of the word at the cursor; None if there is none."""
    place = place_at(question.text, question.offset)
    if place is None:
        return None
    if place.is_key:
        text = _of_key(place, question)
    else:
        condition = is_condition(place, question)
        expression = expression_around(place, is_condition=condition)
        if expression is not None:
            text = _of_name(place, expression, condition=condition)
        elif is_command_line(place, question):
            text = _of_word(place, question)
        else:
            text = _of_value(place, question)
    return HelpText(text=text, start=question.start_of_word, end=question.end_of_word) if text else None


def _of_key(place: CursorPlace, question: Question) -> str:
    key = place.before + place.after
    options = part_of_step(place, question, "options")
    if options is not None and len(options.rest) == 1:
        matches = matches_of(options.step, key, question.project)
        databases = question.project.databases
        return "\n\n---\n\n".join(markdown_of(match.action, match.parser, databases=databases) for match in matches)
    call = part_of_step(place, question, "params")
    if call is not None and len(call.rest) == 1:
        called = question.called_runbook(call.step)
        params = called[1].params if called is not None else ()
        return next((about_param(param) for param in params if param.name == key), "")
    if len(place.around) == 2 and place.around[0][1] == "params" and question.runbook is not None:
        return next((about_param(param) for param in question.runbook.params if param.name == key), "")
    schema = properties_of(schemas_of(place, question)).get(key, {})
    text: str = schema.get("markdownDescription", "")
    return text


def _of_name(place: CursorPlace, expression: tuple[str, str], *, condition: bool) -> str:
    cursor = cursor_in(*expression)
    scope = scope_at(place, is_condition=condition) if cursor is not None and cursor.whole else None
    if cursor is None or scope is None:
        return ""
    found = next((name for name in names_at(cursor, scope) if name.name == cursor.whole), None)
    if found is None:
        return ""
    return found.help or f"`{found.name}` {found.detail}".strip()


def _of_word(place: CursorPlace, question: Question) -> str:
    words = words_at(place.before, place.after, mark=place.mark)
    if words is None:
        return ""
    if not words.words:
        described = question.project.describe(words.whole)
        return described.text if described is not None else ""
    spec = question.project.command(words.words[0])
    argument = argument_at(spec, words) if spec is not None else None
    if spec is None or spec.parser is None or argument is None:
        return ""
    databases = question.project.databases
    option = match_of(words.whole, [argument.parser, *reversed(spec.parser.parsers)])
    option = option or argument.option
    if option is not None:
        return markdown_of(option.action, option.parser, databases=databases)
    positional = argument.positional
    if positional is None:
        return ""
    chosen = argparse_compat.sub_parsers(positional).get(words.whole)
    if chosen is not None and chosen.description:
        return chosen.description
    return markdown_of(positional, argument.parser, databases=databases)


def _of_value(place: CursorPlace, question: Question) -> str:
    options = part_of_step(place, question, "options")
    if options is not None and options.rest:
        matches = matches_of(options.step, str(options.rest[0]), question.project)
        databases = question.project.databases
        return next((markdown_of(one.action, one.parser, databases=databases) for one in matches), "")
    # Any other text means nothing to us.
    is_listed = place.before + place.after in question.project.schema.values(schemas_of(place, question))
    return text_of_key(place, question) if is_listed else ""
