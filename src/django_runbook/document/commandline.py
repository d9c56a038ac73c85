"""A command line to tokens, split as a shell would before any expression has a value: a value can never add a token."""

from __future__ import annotations

import io
import re
import shlex
from collections.abc import Iterator

from django_runbook.document.diagnostics import Diagnostic
from django_runbook.document.expressions import (
    OPEN,
    Expression,
    Locate,
    Template,
    parse_expression,
    segments,
    unclosed,
)
from django_runbook.document.runbook import Located

# Non-characters stand for what shlex must not look into, one for each character, so that offsets stay true.
_MARKS = ("\ufdd2", "\ufdd3")
_ESCAPE = "\ufdd4"
_NOT_SPACE = re.compile(r"[^ \t\r\n]")
_MARKED = re.compile(f"{_MARKS[0]}+|{_MARKS[1]}+|{_ESCAPE}+")


def split(text: str, locate: Locate) -> tuple[tuple[Located, ...], list[Diagnostic]]:
    """The tokens of a command line with their places."""
    if OPEN not in text and not any(character in text for character in "'\"\\"):
        return _split_plain(text, locate), []
    masked, expressions, diagnostics = _mask(text, locate)
    remaining = iter(expressions)
    tokens: list[Located] = []
    try:
        for token, start, end in _tokens(masked):
            tokens.append(Located(value=_unmask(token, remaining), span=locate(start, end), text=text[start:end]))
    except ValueError as error:
        message = "the quote is not closed" if "quotation" in str(error) else "a backslash ends the line"
        span = locate(len(text) - 1, len(text))
        diagnostics.append(Diagnostic(code="RB311", message=message, span=span, help="quote it as for a shell"))
    return tuple(tokens), diagnostics


def _split_plain(text: str, locate: Locate) -> tuple[Located, ...]:
    return tuple(
        Located(value=match[0], span=locate(match.start(), match.end()), text=match[0])
        for match in re.finditer(r"[^ \t\r\n]+", text)
    )


def _mask(text: str, locate: Locate) -> tuple[str, list[Expression | None], list[Diagnostic]]:
    masked = ""
    expressions: list[Expression | None] = []
    diagnostics: list[Diagnostic] = []
    for kind, start, end in segments(text):
        if kind == "text":
            masked += text[start:end]
        elif kind == "escape":
            masked += _ESCAPE * (end - start)
        elif kind == "unclosed":
            diagnostics.append(unclosed(locate(start, start + len(OPEN))))
        else:
            expression, found = parse_expression(text, locate, start=start, end=end)
            masked += _MARKS[len(expressions) % 2] * (end - start)
            expressions.append(expression)
            diagnostics += found
    return masked, expressions, diagnostics


def _tokens(masked: str) -> Iterator[tuple[str, int, int]]:
    stream = io.StringIO(masked)
    lexer = shlex.shlex(stream, posix=True)
    lexer.whitespace_split, lexer.commenters = True, ""
    start = 0
    while (token := lexer.get_token()) is not None:
        position = stream.tell()
        end = position if position == len(masked) and not masked[-1:].isspace() else position - 1
        first = _NOT_SPACE.search(masked, start)
        start = first.start() if first else start
        yield token, start, end
        start = end


def _unmask(token: str, expressions: Iterator[Expression | None]) -> str | Template:
    parts: list[str | Expression] = []
    position = 0
    for match in _MARKED.finditer(token):
        literal = token[position : match.start()] + (OPEN if match[0][0] == _ESCAPE else "")
        expression = None if match[0][0] == _ESCAPE else next(expressions)
        parts += [part for part in (literal, expression) if part]
        position = match.end()
    if position < len(token):
        parts.append(token[position:])
    texts = [part for part in parts if isinstance(part, str)]
    return "".join(texts) if len(texts) == len(parts) else Template(parts=tuple(parts))
