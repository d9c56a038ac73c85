"""Splits a command line into tokens as a shell would, before expressions are evaluated: no value can add a token."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from typing import Final

from django_runbook.document import characters
from django_runbook.document.diagnostics import Diagnostic, diagnose
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
from django_runbook.structs import MutableStruct, field

_SPACES: Final = frozenset(" \t\r\n")
_QUOTES: Final = frozenset("'\"")
_PLAIN_TOKEN: Final = re.compile(r"[^ \t\r\n]+")


def split(text: str, locate: Locate) -> tuple[tuple[Located, ...], list[Diagnostic]]:
    """Return the tokens of a command line with their places, and the errors in it."""
    if text.isascii() and OPEN not in text and not any(character in text for character in "'\"\\"):
        return _split_plain(text, locate), []
    splitter = _Splitter(text, locate)
    return tuple(splitter.tokens()), splitter.diagnostics


def _split_plain(text: str, locate: Locate) -> tuple[Located, ...]:
    return tuple(
        Located(value=match[0], span=locate(match.start(), match.end()), text=match[0])
        for match in _PLAIN_TOKEN.finditer(text)
    )


class _PartialToken(MutableStruct, kw_only=False):
    """Collects the characters and expressions of an unfinished token; None marks an unreadable expression."""

    start: int
    atoms: list[str | Expression | None] = field(default_factory=list)

    def value(self) -> str | Template:
        parts: list[str | Expression] = []
        for is_text, several in itertools.groupby(self.atoms, key=lambda atom: isinstance(atom, str)):
            if is_text:
                parts += filter(None, ["".join(str(atom) for atom in several)])
            else:
                parts += (atom for atom in several if isinstance(atom, Expression))
        texts = [part for part in parts if isinstance(part, str)]
        return "".join(texts) if len(texts) == len(parts) else Template(parts=tuple(parts))


class _Splitter:
    """Follows the quoting rules of a POSIX shell; an expression counts as one character."""

    def __init__(self, text: str, locate: Locate) -> None:
        self.diagnostics: list[Diagnostic] = []
        self._text = text
        self._locate = locate
        self._token: _PartialToken | None = None
        self._quote = ""
        self._quoted_at = 0
        self._is_escaped = False
        self._is_cut = False

    def tokens(self) -> Iterator[Located]:
        for start, part in self._atoms():
            if self._is_escaped:
                self._take_escaped(part, start)
            elif self._quote:
                self._take_quoted(part, start)
            elif isinstance(part, str) and characters.is_hidden(part):
                self._report_hidden(part, start)
                if characters.is_blank(part):
                    yield from self._finished(start)
            elif part in _SPACES:
                yield from self._finished(start)
            else:
                self._take(part, start)
        if self._is_cut:
            # The unread rest may close the quote.
            return
        if self._quote:
            self._report(self._quoted_at, "the quote is not closed", "close it, as in a shell")
        elif self._is_escaped:
            self._report(
                len(self._text) - 1, "the command line ends with a backslash", "remove it, or put it in quotes"
            )
        else:
            yield from self._finished(len(self._text))

    def _atoms(self) -> Iterator[tuple[int, str | Expression | None]]:
        for kind, start, end in segments(self._text):
            if kind == "text":
                yield from ((index, self._text[index]) for index in range(start, end))
            elif kind == "escape":
                yield start, OPEN
            elif kind == "unclosed":
                self.diagnostics.append(unclosed(self._locate(start, start + len(OPEN))))
                self._is_cut = True
            else:
                expression, found = parse_expression(self._text, self._locate, start=start, end=end)
                self.diagnostics += found
                yield start, expression

    def _take(self, part: str | Expression | None, start: int) -> None:
        if part == "\\":
            self._is_escaped = True
            part = ""
        elif isinstance(part, str) and part in _QUOTES:
            self._quote, self._quoted_at = part, start
            part = ""
        self._add(part, start)

    def _take_quoted(self, part: str | Expression | None, start: int) -> None:
        if part == self._quote:
            self._quote = ""
        elif part == "\\" and self._quote == '"':
            self._is_escaped = True
        else:
            self._add(part, start)

    def _take_escaped(self, part: str | Expression | None, start: int) -> None:
        if self._quote and part not in {"\\", self._quote}:
            # Inside quotes, a backslash escapes only a quote or another backslash.
            self._add("\\", start)
        self._is_escaped = False
        self._add(part, start)

    def _add(self, part: str | Expression | None, start: int) -> None:
        self._token = self._token or _PartialToken(start)
        self._token.atoms.append(part)

    def _report_hidden(self, character: str, start: int) -> None:
        way_out = "write a plain space" if characters.is_blank(character) else "remove it"
        self.diagnostics.append(
            diagnose(
                "RB312",
                message=f"the command line has an invisible character: {characters.name_of(character)}",
                span=self._locate(start, start + 1),
                help_text=f"{way_out}, or put it in quotes if it is meant",
            )
        )

    def _finished(self, end: int) -> Iterator[Located]:
        if self._token is not None:
            token, self._token = self._token, None
            span = self._locate(token.start, end)
            yield Located(value=token.value(), span=span, text=self._text[token.start : end])

    def _report(self, at: int, message: str, help_text: str) -> None:
        span = self._locate(at, at + 1)
        self.diagnostics.append(diagnose("RB311", message=message, span=span, help_text=help_text))
