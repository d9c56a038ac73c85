"""Suggests the keys of a mapping."""

from __future__ import annotations

from django_runbook.language_server.answers import Suggestion, SuggestionKind
from django_runbook.language_server.questions import Question


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
