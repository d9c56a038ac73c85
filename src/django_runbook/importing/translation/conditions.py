"""Translates tests of the shell into conditions of a runbook."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from django_runbook.importing.problems import NotCarried
from django_runbook.importing.shell.nodes import AndOr, Compound, Condition, Negation, Node, Simple
from django_runbook.importing.shell.words import ShellWord, Text
from django_runbook.importing.translation.expansion import expand_quoted
from django_runbook.importing.translation.pieces import Expr, Pieces, as_expression, literal_of
from django_runbook.importing.translation.scope import ShellScope

_FILES: Final = frozenset(
    [
        "-f",
        "-d",
        "-e",
        "-x",
        "-r",
        "-w",
        "-s",
        "-L",
        "-h",
        "-b",
        "-c",
        "-p",
        "-S",
        "-g",
        "-u",
        "-k",
        "-O",
        "-G",
        "-N",
        "-t",
        "-v",
        "-nt",
        "-ot",
        "-ef",
    ]
)
_TEXTS: Final = {"=": "==", "==": "==", "!=": "!="}
_NUMBERS: Final = {"-eq": "==", "-ne": "!=", "-lt": "<", "-le": "<=", "-gt": ">", "-ge": ">="}
_OPPOSITES: Final = {"==": "!=", "!=": "==", "<": ">=", "<=": ">", ">": "<=", ">=": "<"}
_SIDE: Final = r'\([\w.() |]+\)|[\w.()]+|"[^"]*"'
_COMPARISON: Final = re.compile(rf"({_SIDE}) (==|!=|<=|>=|<|>) ({_SIDE})")
_UNQUOTED_GLOB: Final = re.compile(r"[*?\[]")


def condition_of(node: Node, scope: ShellScope) -> str | None:
    """Return the expression of a test; None if the node is not one. Raise NotCarried if it has no counterpart."""
    match node:
        case Condition():
            return _Tests(node.tokens, scope).read()
        case Negation():
            inner = condition_of(node.command, scope)
            return None if inner is None else negated(inner)
        case AndOr():
            left, right = condition_of(node.left, scope), condition_of(node.right, scope)
            if left is None or right is None:
                return None
            return joined(left, right) if node.operator == "&&" else either(left, right)
        case Compound() if len(node.statements) == 1 and not node.redirects:
            return condition_of(node.statements[0], scope)
        case Simple() if len(node.words) == 1 and node.program in {"true", "false", ":"}:
            return "false" if node.program == "false" else "true"
    return None


def negated(condition: str) -> str:
    """Return the opposite of a condition."""
    if condition in {"true", "false"}:
        return "false" if condition == "true" else "true"
    simple = _COMPARISON.fullmatch(condition)
    if simple is not None:
        return f"{simple[1]} {_OPPOSITES[simple[2]]} {simple[3]}"
    if re.fullmatch(r"not [\w.]+", condition):
        return condition.removeprefix("not ")
    return f"not {condition}" if re.fullmatch(r"[\w.]+", condition) else f"not ({condition})"


def is_alternative(condition: str) -> bool:
    """Return whether a condition needs parentheses beside ``and``."""
    depth = 0
    for position, character in enumerate(condition):
        depth += (character == "(") - (character == ")")
        if not depth and condition.startswith((" or ", " if "), position):
            return True
    return False


def joined(*conditions: str) -> str:
    """Return a condition that is true if all of these are."""
    if "false" in conditions:
        return "false"
    known = [one for one in dict.fromkeys(conditions) if one != "true"]
    if len(known) == 1:
        return known[0]
    parts = [f"({one})" if is_alternative(one) else one for one in known]
    return " and ".join(parts) or "true"


def either(*conditions: str) -> str:
    """Return a condition that is true if one of these is."""
    if "true" in conditions:
        return "true"
    known = [f"({one})" if " if " in one else one for one in dict.fromkeys(conditions) if one != "false"]
    return " or ".join(known) or "false"


class _Tests:
    """Parses the words of a test: ``!`` binds closest, then ``&&``, then ``||``."""

    def __init__(self, tokens: Sequence[ShellWord | str], scope: ShellScope) -> None:
        self._tokens = list(tokens)
        self._scope = scope

    def read(self) -> str:
        if not self._tokens:
            return "false"
        made = self._or()
        if self._tokens:
            raise NotCarried("the test is not understood")
        return made

    def _or(self) -> str:
        left = self._and()
        while self._takes("||", "-o"):
            left = either(left, self._and())
        return left

    def _and(self) -> str:
        left = self._not()
        while self._takes("&&", "-a"):
            left = joined(left, self._not())
        return left

    def _not(self) -> str:
        if self._takes("!"):
            return negated(self._not())
        if self._takes("("):
            inner = self._or()
            if not self._takes(")"):
                raise NotCarried("the test is not understood")
            return inner
        return self._primary()

    def _primary(self) -> str:
        first = self._next()
        operator = _sign(first)
        following = _sign(self._tokens[0]) if self._tokens else ""
        if following in _TEXTS or following in _NUMBERS or following in {"=~", "<", ">", "-nt", "-ot", "-ef"}:
            return self._compared(first)
        if operator in {"-n", "-z"}:
            pieces = self._value(self._next())
            return self._emptiness(pieces, is_empty=operator == "-z")
        if operator in _FILES:
            raise NotCarried(f"a test of files ({operator}) has no counterpart: let the command test it")
        return self._emptiness(self._value(first), is_empty=False)

    def _compared(self, first: ShellWord | str) -> str:
        operator, second = _sign(self._next()), self._next()
        left, right = self._value(first), self._value(second)
        if operator in _TEXTS:
            if isinstance(second, ShellWord) and _is_pattern(second):
                raise NotCarried("a comparison with a pattern has no counterpart")
            return _day_number(left, right, _TEXTS[operator]) or (
                f"{as_expression(left)} {_TEXTS[operator]} {as_expression(right)}"
            )
        if operator in _NUMBERS:
            return f"{_number(left)} {_NUMBERS[operator]} {_number(right)}"
        raise NotCarried(f'the comparison "{operator}" has no counterpart')

    def _emptiness(self, pieces: Pieces, *, is_empty: bool) -> str:
        value = literal_of(pieces)
        if value is not None:
            return "true" if (value == "") is is_empty else "false"
        return f'{as_expression(pieces)} {"==" if is_empty else "!="} ""'

    def _value(self, token: ShellWord | str) -> Pieces:
        if isinstance(token, str):
            raise NotCarried("the test is not understood")
        return expand_quoted(token, self._scope)

    def _next(self) -> ShellWord | str:
        if not self._tokens:
            raise NotCarried("the test is not understood")
        return self._tokens.pop(0)

    def _takes(self, *signs: str) -> bool:
        if self._tokens and _sign(self._tokens[0]) in signs:
            self._tokens.pop(0)
            return True
        return False


def _sign(token: ShellWord | str) -> str:
    """Return an operator; an unquoted word of ``test`` may be one."""
    if isinstance(token, str):
        return token
    if all(isinstance(part, Text) and not part.is_quoted for part in token.parts):
        return token.literal or ""
    return ""


def _is_pattern(word: ShellWord) -> bool:
    texts = [part.value for part in word.parts if isinstance(part, Text) and not part.is_quoted]
    return bool(_UNQUOTED_GLOB.search("".join(texts)))


def _number(pieces: Pieces) -> str:
    value = literal_of(pieces)
    if value is not None:
        if not re.fullmatch(r"\s*[-+]?\d+\s*", value):
            raise NotCarried(f'"{value}" is not a number')
        return str(int(value))
    first = pieces[0]
    if len(pieces) == 1 and isinstance(first, Expr) and not first.is_text:
        return first.source if "()" in first.source else f"({first.source} | int)"
    return f"({as_expression(pieces)} | int)"


def _day_number(left: Pieces, right: Pieces, operator: str) -> str | None:
    """Compare a number that date prints, such as the day of the week, as a number."""
    for one, other in ((left, right), (right, left)):
        first, value = one[0] if one else None, literal_of(other)
        is_number = isinstance(first, Expr) and not first.is_text and first.source.endswith("isoweekday()")
        if len(one) == 1 and is_number and value is not None and re.fullmatch(r"[1-7]", value):
            assert isinstance(first, Expr)
            return f"{first.source} {operator} {value}"
    return None
