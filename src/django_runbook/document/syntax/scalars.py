"""Resolves plain scalars by the core schema of YAML 1.2 (section 10.3.2), and parses durations."""

from __future__ import annotations

import re

from django_runbook.document.syntax.nodes import Mapping, Node, Scalar, Sequence

_CONSTANTS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_NUMBER_START = frozenset("+-.0123456789")
_INTEGER = re.compile(r"[-+]?[0-9]+")
_BASED = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_SPECIAL = {".inf": "inf", "+.inf": "inf", "-.inf": "-inf", ".nan": "nan"}
_LEADING_ZERO = re.compile(r"[-+]?0[0-9]+")
_MAX_DIGITS = 40
_MAX_SHOWN = 40
_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s)?", re.ASCII)
_BARE_SECONDS = re.compile(r"\d+(\.\d+)?", re.ASCII)
_UNIT_SECONDS = (86400, 3600, 60, 1)

Value = None | bool | int | float | str


def resolve(node: Scalar) -> Value:
    """Return the value of a scalar; one that `problem_of` refuses stays a string."""
    return resolve_plain(node.text) if node.is_plain else node.text


def resolve_plain(text: str) -> Value:
    """Return the value of an unquoted scalar."""
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if text[0] not in _NUMBER_START:
        return text
    return _resolve_number(text)


def _resolve_number(text: str) -> Value:
    if problem_of(text):
        return text
    if _INTEGER.fullmatch(text):
        return int(text)
    if _BASED.fullmatch(text):
        return int(text, 0)
    if _FLOAT.fullmatch(text):
        return float(text)
    special = _SPECIAL.get(text.lower())
    return text if special is None else float(special)


def problem_of(text: str) -> tuple[str, str] | None:
    """Return the message and the help for a plain scalar that looks like a number but is not valid."""
    if _LEADING_ZERO.fullmatch(text):
        shown = text if len(text) <= _MAX_DIGITS else text[:_MAX_DIGITS] + "…"
        return f"the integer {shown} has a leading zero", "quote it to keep the zero, or write the number without it"
    if len(text) > _MAX_DIGITS and (_INTEGER.fullmatch(text) or _BASED.fullmatch(text)):
        return f"the integer has more than {_MAX_DIGITS} digits", "quote it to keep it as a string"
    return None


def parse_duration(text: str) -> float | None:
    """Convert ``90``, ``90s``, ``10m``, ``1h30m`` or ``2d`` to seconds; return None for anything else."""
    if _BARE_SECONDS.fullmatch(text):
        return float(text)
    match = _DURATION.fullmatch(text)
    if match is None or not text:
        return None
    return sum(float(amount or 0) * unit for amount, unit in zip(match.groups(), _UNIT_SECONDS, strict=True))


def describe(node: Node) -> str:
    """Describe a node for "must be X, not Y"."""
    match node:
        case Scalar():
            return _describe_value(resolve(node), text=node.text)
        case Sequence():
            return "a list"
        case Mapping():
            return "a mapping"
    return "unreadable"


def _describe_value(value: Value, *, text: str) -> str:
    match value:
        case None:
            return "empty"
        case bool():
            return f"the boolean {text}"
        case int() | float():
            return f"the number {text}"
    return f'the string "{text if len(text) <= _MAX_SHOWN else text[:_MAX_SHOWN] + "…"}"'
