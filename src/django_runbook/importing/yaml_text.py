"""Writes values as YAML that our own loader reads back as the same values."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

from django_runbook.document.syntax.scalars import problem_of, resolve_plain
from django_runbook.importing.draft import Plain

_PLAIN_IN_BLOCK: Final = re.compile(r"[A-Za-z0-9_./$(^+=~-][^\n]*")
_PLAIN_IN_FLOW: Final = re.compile(r"[A-Za-z0-9_./+-][A-Za-z0-9_./+@=-]*(?: [A-Za-z0-9_./+@=-]+)*")
_NOT_PLAIN: Final = re.compile(r":(?=\s|$)|\s#|^-(?=\s|$)|^\.\.\.$|^---")
_ESCAPES: Final = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"}
_WIDTH: Final = 100
Scalar: TypeAlias = str | int | float | bool | None


def scalar(value: Scalar, *, in_flow: bool = False) -> str:
    """Write a scalar; a string is quoted if it would be read as something else."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int() | float():
            return repr(value)
    return value if _is_plain(value, in_flow=in_flow) else _quoted(value)


def flow(value: Plain) -> str:
    """Write a value in one line."""
    if isinstance(value, list):
        return f"[{', '.join(flow(item) for item in value)}]"
    if isinstance(value, dict):
        pairs = (f"{scalar(name, in_flow=True)}: {flow(item)}" for name, item in value.items())
        return f"{{{', '.join(pairs)}}}"
    return scalar(value, in_flow=True)


def entry(key: str, value: Plain, *, indent: int) -> list[str]:
    """Write a key and its value: in one line if that fits, as a block otherwise."""
    pad = " " * indent
    if isinstance(value, str):
        return [f"{pad}{key}: {line}" if not number else line for number, line in enumerate(_string(value, indent))]
    short = f"{pad}{key}: {flow(value)}"
    if len(short) <= _WIDTH or not isinstance(value, list | dict) or not value:
        return [short]
    lines = [f"{pad}{key}:"]
    if isinstance(value, dict):
        for name, item in value.items():
            lines += entry(scalar(name), item, indent=indent + 2)
    else:
        lines += [f"{pad}  - {flow(item) if isinstance(item, list | dict) else scalar(item)}" for item in value]
    return lines


def block_mapping(key: str, values: Mapping[str, Plain], *, indent: int) -> list[str]:
    """Write a mapping with one line for each of its keys."""
    lines = [f"{' ' * indent}{key}:"]
    for name, value in values.items():
        lines += entry(scalar(name), value, indent=indent + 2)
    return lines


def _string(value: str, indent: int) -> Sequence[str]:
    lines = value.split("\n")
    if not _fits_literal_block(lines):
        return [scalar(value)]
    is_ended = lines[-1] == ""
    pad = " " * (indent + 2)
    body = [f"{pad}{line}" if line else "" for line in (lines[:-1] if is_ended else lines)]
    return ["|" if is_ended else "|-", *body]


def _fits_literal_block(lines: Sequence[str]) -> bool:
    inner = lines[:-1] if lines[-1] == "" else lines
    if len(lines) < 2 or not inner or not inner[0] or inner[0][0].isspace() or not inner[-1].strip():
        return False
    return all(_is_printable(line) and not line.endswith(" ") for line in inner)


def _is_plain(value: str, *, in_flow: bool) -> bool:
    if not value or value != value.strip() or not _is_printable(value):
        return False
    if not (_PLAIN_IN_FLOW if in_flow else _PLAIN_IN_BLOCK).fullmatch(value) or _NOT_PLAIN.search(value):
        return False
    return isinstance(resolve_plain(value), str) and problem_of(value) is None


def _is_printable(text: str) -> bool:
    return all(character.isprintable() for character in text)


def _quoted(value: str) -> str:
    if '"' in value and "'" not in value and _is_printable(value):
        return f"'{value}'"
    return '"' + "".join(_escaped(character) for character in value) + '"'


def _escaped(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    if character.isprintable():
        return character
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
