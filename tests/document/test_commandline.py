"""Splits command lines as a shell does, with each expression as one character."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_runbook.document.commandline import split
from django_runbook.document.diagnostics import Span
from django_runbook.document.expressions import Template


def locate(start: int, end: int) -> Span:
    return Span(1, start + 1, 1, end + 1)


def tokens_of(text: str) -> list[str]:
    tokens, problems = split(text, locate)
    assert problems == []
    return [token.value if isinstance(token.value, str) else "<template>" for token in tokens]


@given(text=st.text(alphabet="ab \t\n'\"\\é", max_size=40))
def test_tokens_are_those_of_shlex(text: str) -> None:
    lexer = shlex.shlex(text, posix=True, punctuation_chars=False)
    lexer.whitespace_split, lexer.commenters = True, ""
    try:
        expected: list[str] | None = list(lexer)
    except ValueError:
        expected = None
    tokens, problems = split(text, locate)
    assert bool(problems) == (expected is None)
    if expected is not None:
        assert [token.value for token in tokens] == expected
        assert all(
            not (token.text[:1].isspace() or token.text[-1:].isspace()) or "\\" in token.text for token in tokens
        )


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("say ${{ a }}", [1]),
        ("say x${{ a }}y", [3]),
        ('say "${{ a }} b"', [2]),
        ("say '${{ \"a b\" }}'", [1]),
        ("say ${{ 'a b' }}${{ c }}", [2]),
        ("say \\${{ a }}", [1]),
        ('say "\\${{ a }}"', [2]),
        ("say ${{ a }} ${{ b }}", [1, 1]),
    ],
)
def test_an_expression_is_one_character(text: str, parts: list[int]) -> None:
    tokens, problems = split(text, locate)
    assert problems == []
    assert [len(token.value.parts) for token in tokens[1:] if isinstance(token.value, Template)] == parts


def test_an_escape_writes_the_braces() -> None:
    assert tokens_of("say $${{ a }} '$${{ b }}'") == ["say", "${{", "a", "}}", "${{ b }}"]


@pytest.mark.parametrize(
    ("text", "message", "column"),
    [
        ("say 'a b", "the quote is not closed", 5),
        ('say a "b', "the quote is not closed", 7),
        ("say a\\", "the command line ends with a backslash", 6),
        ("say\u00a0a", "the command line has an invisible character: NO-BREAK SPACE (U+00A0)", 4),
        ("say a\u3000b", "the command line has an invisible character: IDEOGRAPHIC SPACE (U+3000)", 6),
        ("say a\u200bb", "the command line has an invisible character: ZERO WIDTH SPACE (U+200B)", 6),
        ("say \u202ea", "the command line has an invisible character: RIGHT-TO-LEFT OVERRIDE (U+202E)", 5),
        ("say a\u00adb", "the command line has an invisible character: SOFT HYPHEN (U+00AD)", 6),
        ("say \u2800", "the command line has an invisible character: BRAILLE PATTERN BLANK (U+2800)", 5),
    ],
)
def test_problems_are_reported_at_their_character(text: str, message: str, column: int) -> None:
    _, (problem,) = split(text, locate)
    assert (problem.message, problem.span.column) == (message, column)


def test_a_hidden_character_is_read_as_what_it_looks_like() -> None:
    assert [token.value for token in split("say\u00a0a\u200bb c", locate)[0]] == ["say", "ab", "c"]


@pytest.mark.parametrize(
    "text", ["say '\u00a0'", 'say "a\u200bb"', "say \u200d", "say 👩\u200d💻", "say é ß 漢字", "say \u0301"]
)
def test_quoted_or_visible_characters_are_accepted(text: str) -> None:
    assert split(text, locate)[1] == []
