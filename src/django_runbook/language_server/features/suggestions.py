"""Suggests keys and values at the cursor."""

from __future__ import annotations

from django_runbook.language_server.features.answers import Suggestion, SuggestionKind
from django_runbook.language_server.features.questions import Question


def key_suggestion(key: str, question: Question, *, detail: str = "", help_text: str = "") -> Suggestion:
    """Suggest a key; a colon is added if there is none yet."""
    rest = question.text.text[question.end_of_word : question.end_of_word + 1]
    return Suggestion(
        label=key,
        kind=SuggestionKind.KEY,
        start=question.start_of_word,
        end=question.offset,
        text=key if rest == ":" else f"{key}: ",
        detail=detail,
        help=help_text,
    )


def value_suggestion(value: str, question: Question, *, text: str, help_text: str = "") -> Suggestion:
    """Suggest a value, written as ``text``."""
    return Suggestion(
        label=value,
        kind=SuggestionKind.VALUE,
        start=question.start_of_word,
        end=question.offset,
        text=text,
        help=help_text,
    )
