"""Suggests commands, their options and the values of both, in a command line and under ``options``."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from django_runbook import argparse_compat
from django_runbook.binding.checking_parser import is_refused
from django_runbook.binding.finding import Match, find_in, long_flag
from django_runbook.document.diagnostics import Span
from django_runbook.document.runbook import Located, Option
from django_runbook.document.syntax.nodes import Mapping
from django_runbook.language_server.cursor.command_words import (
    ArgumentAtCursor,
    CommandWords,
    argument_at,
    words_at,
)
from django_runbook.language_server.cursor.cursor_places import CursorPlace
from django_runbook.language_server.features.answers import Suggestion, SuggestionKind
from django_runbook.language_server.features.option_texts import (
    is_offered,
    listed_values,
    markdown_of,
    may_repeat,
    metavar_of,
    own_first,
    values_in_mapping,
)
from django_runbook.language_server.features.questions import Question, text_of
from django_runbook.language_server.features.suggestions import key_suggestion, value_suggestion
from django_runbook.language_server.features.yaml_texts import as_scalar, as_word
from django_runbook.language_server.workspace.project import Project

_HERE = Span(1, 1, 1, 2)


def complete_line(place: CursorPlace, question: Question) -> Iterator[Suggestion]:
    """Suggest the name of a command, or its next argument."""
    words = words_at(place.before, place.after, mark=place.mark)
    if words is None:
        return
    if not words.words:
        for name, app in question.project.catalog.names.items():
            yield Suggestion(
                label=name,
                kind=SuggestionKind.COMMAND,
                start=question.start_of_word,
                end=question.offset,
                text=name,
                detail=app,
                command=name,
            )
        return
    spec = question.project.command(words.words[0])
    argument = argument_at(spec, words) if spec is not None else None
    if argument is not None:
        yield from _arguments(argument, words, question)


def _arguments(argument: ArgumentAtCursor, words: CommandWords, question: Question) -> Iterator[Suggestion]:
    option = argument.option
    if option is not None:
        yield from _choices(option.action, question, about=option.parser)
        if argument.is_certain:
            return
    positional = argument.positional
    is_option = words.before.startswith(tuple(argument.parser.prefix_chars or "-"))
    if positional is not None and not is_option:
        yield from _choices(positional, question, about=argument.parser)
    yield from _options(argument, question)


def _choices(action: argparse.Action, question: Question, *, about: argparse.ArgumentParser) -> Iterator[Suggestion]:
    sub_commands = argparse_compat.sub_parsers(action)
    help_text = markdown_of(action, about, databases=question.project.databases)
    for value in listed_values(action, databases=question.project.databases):
        own = sub_commands[value].description if value in sub_commands else None
        yield value_suggestion(value, question, text=as_word(value), help_text=own or help_text)


def _options(argument: ArgumentAtCursor, question: Question) -> Iterator[Suggestion]:
    parser = argument.parser
    for action in own_first(argparse_compat.actions_of(parser)):
        is_used = action in argument.used and not may_repeat(action)
        if not action.option_strings or is_used or not is_offered(action, is_root=argument.is_root):
            continue
        long_flags = [flag for flag in action.option_strings if flag[:1] == flag[1:2]]
        for flag in long_flags or action.option_strings[:1]:
            yield Suggestion(
                label=flag,
                kind=SuggestionKind.OPTION,
                start=question.start_of_word,
                end=question.offset,
                text=flag if action.nargs == 0 else f"{flag} ",
                detail=metavar_of(action),
                help=markdown_of(action, parser, databases=question.project.databases),
            )


def complete_option(step: Mapping, place: CursorPlace, question: Question) -> Iterator[Suggestion]:
    """Suggest the names of options as keys."""
    command = command_of(step)
    spec = question.project.command(command)
    if spec is None or spec.parser is None:
        return
    for parser in spec.parser.parsers:
        for action in own_first(argparse_compat.actions_of(parser)):
            if not action.option_strings or not is_offered(action, is_root=parser is spec.parser.root):
                continue
            name = long_flag(action).lstrip(parser.prefix_chars or "-")
            if name not in place.given_keys:
                help_text = markdown_of(action, parser, databases=question.project.databases)
                yield key_suggestion(name, question, detail=metavar_of(action), help_text=help_text)


def complete_value(step: Mapping, name: str, question: Question) -> Iterator[Suggestion]:
    """Suggest the values of an option under ``options``."""
    for match in matches_of(step, name, question.project):
        for value in values_in_mapping(match.action, question.project):
            help_text = markdown_of(match.action, match.parser, databases=question.project.databases)
            yield value_suggestion(value, question, text=as_scalar(value), help_text=help_text)


def matches_of(step: Mapping, name: str, project: Project) -> list[Match]:
    """Return the options that a name under ``options`` of a step means."""
    spec = project.command(command_of(step))
    if spec is None or spec.parser is None:
        return []
    option = Option(name=name, name_span=_HERE, value=Located(value=None, span=_HERE))
    return [
        match
        for parser in spec.parser.parsers
        for match in find_in(option, parser)
        if not is_refused(match.action, is_root=parser is spec.parser.root)
    ]


def command_of(step: Mapping) -> str:
    """Return the name of the command of a step; empty if it has none."""
    return next(iter(text_of(step, "command").split()), "")
