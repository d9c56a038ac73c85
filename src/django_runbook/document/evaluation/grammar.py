"""Parses the source of an expression with Jinja2 into a tree whose nodes have offsets."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from functools import lru_cache
from typing import Final, NamedTuple

from jinja2 import Environment, TemplateSyntaxError, nodes
from jinja2.lexer import TokenStream
from jinja2.parser import Parser

from django_runbook.document import characters
from django_runbook.document.evaluation.budget import MAX_BITS
from django_runbook.structs import Struct

MAX_TOKENS: Final = 300
_MAX_BRACKETS: Final = 20
MAX_DEPTH: Final = 100
_HELP_FOR_OPERATOR: Final = {
    "=": 'use "==" to compare',
    "&": 'use "and"',
    "!": 'use "not", or "!=" to compare',
    "?": 'write "a if condition else b"',
    "$": "remove the $: inside an expression, write the name alone",
}


class ExpressionProblem(Struct):
    """Describes an error in a source, with its offsets."""

    code: str
    message: str
    start: int
    end: int
    help: str = ""


class Token(NamedTuple):
    kind: str
    text: str
    start: int

    @property
    def end(self) -> int:
        return self.start + len(self.text)


class SourceError(Exception):
    """Reports that a source is not an expression."""

    def __init__(self, problem: ExpressionProblem) -> None:
        super().__init__(problem.message)
        self.problem = problem


class _Grammar(Environment):
    def _tokenize(
        self, source: str, name: str | None, filename: str | None = None, state: str | None = None
    ) -> TokenStream:
        # Jinja2 counts lines; here each "line" is an offset, so that the ``lineno`` of a node is that of its token.
        return TokenStream(self.lexer.wrap(_with_offsets(source), name, filename), name, filename)


_GRAMMAR: Final = _Grammar()


def _with_offsets(source: str) -> Iterator[tuple[int, str, str]]:
    offset = 0
    for _, kind, text in _GRAMMAR.lexer.tokeniter(source, name=None, state="variable"):
        yield offset, kind, text
        offset += len(text)


@lru_cache(maxsize=4096)
def tokens_of(source: str) -> dict[int, Token]:
    """Return the tokens of a source by their offsets, in order; raise SourceError."""
    try:
        found = [Token(kind, text, start) for start, kind, text in _with_offsets(source) if kind != "whitespace"]
    except TemplateSyntaxError as error:
        raise SourceError(_of_characters(source, error)) from error
    _check_limits(found)
    return {token.start: token for token in found}


@lru_cache(maxsize=4096)
def tree_of(source: str) -> nodes.Expr:
    """Return the tree of a source; raise SourceError."""
    tokens = tokens_of(source)
    parser: Parser | None = None
    try:
        parser = Parser(_GRAMMAR, source)
        tree = parser.parse_expression()
        if not parser.stream.eos:
            raise TemplateSyntaxError("unexpected text after the expression", parser.stream.current.lineno)
    except TemplateSyntaxError as error:
        is_at_end = parser is not None and parser.stream.eos
        raise SourceError(_of_syntax(source, error, tokens, is_at_end=is_at_end)) from error
    except (ValueError, RecursionError) as error:
        # An integer with more digits than Python is configured to convert.
        raise SourceError(_problem("a number or the nesting is too large", 0, len(source))) from error
    _check_tree(tree)
    return tree


def _check_limits(tokens: list[Token]) -> None:
    if len(tokens) > MAX_TOKENS:
        start = tokens[MAX_TOKENS].start
        raise SourceError(_problem("the expression is too long", start, start + 1, help_text="use vars for its parts"))
    depth = 0
    for token in tokens:
        if token.kind == "operator":
            depth += (token.text in "([{") - (token.text in ")]}")
        if depth > _MAX_BRACKETS:
            message = f"more than {_MAX_BRACKETS} brackets are nested"
            raise SourceError(_problem(message, token.start, token.end))


def _check_tree(tree: nodes.Expr) -> None:
    level: list[nodes.Node] = [tree]
    for _ in range(MAX_DEPTH):
        for node in level:
            if isinstance(node, nodes.Const) and isinstance(node.value, int) and node.value.bit_length() > MAX_BITS:
                raise SourceError(_problem(f"the number has more than {MAX_BITS} bits", node.lineno, node.lineno + 1))
        level = list(itertools.chain.from_iterable(node.iter_child_nodes() for node in level))
        if not level:
            return
    message = f"more than {MAX_DEPTH} operations are nested"
    raise SourceError(_problem(message, 0, 1, help_text="use vars for its parts"))


def _of_characters(source: str, error: TemplateSyntaxError) -> ExpressionProblem:
    """Describe an unexpected character: Jinja2 gives its place only in the message."""
    *_, place = (error.message or "").rpartition(" at ")
    start = int(place) if place.isdecimal() and int(place) < len(source) else None
    if start is None:
        return _problem(_message_of(error), 0, len(source))
    if source[start] in "'\"":
        return _problem("the quote is not closed", start, start + 1)
    shown = f'"{source[start]}"' if source[start].isprintable() else characters.name_of(source[start])
    message = f"{shown} cannot be used here"
    return _problem(message, start, start + 1, help_text=_HELP_FOR_OPERATOR.get(source[start], ""))


def _of_syntax(
    source: str, error: TemplateSyntaxError, tokens: dict[int, Token], *, is_at_end: bool
) -> ExpressionProblem:
    token = tokens.get(error.lineno)
    if is_at_end or token is None:
        return _problem("the expression ends too early", len(source) - 1, len(source))
    is_or = token.text == "|" and token.start - 1 in tokens and tokens[token.start - 1].text == "|"
    help_text = 'use "or"' if is_or else _HELP_FOR_OPERATOR.get(token.text, "")
    return _problem(_message_of(error), token.start, token.end, help_text=help_text)


def _message_of(error: TemplateSyntaxError) -> str:
    return (error.message or str(error)).replace("template", "expression")


def _problem(message: str, start: int, end: int, *, help_text: str = "") -> ExpressionProblem:
    is_own = message.startswith(("the expression", "unexpected", "more than", "the number"))
    text = message if is_own else f"the expression cannot be read: {message}"
    return ExpressionProblem(code="RB303", message=text, start=start, end=end, help=help_text)
