"""Defines expanded words, and writes them as tokens, strings and expressions of a runbook."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Final, TypeAlias

from django_runbook.document.expressions import OPEN
from django_runbook.structs import Struct

_SAFE: Final = re.compile(r"[A-Za-z0-9@%+=:,./_-]+")


class Literal(Struct):
    """Holds characters that are the same in every run."""

    text: str


class Expr(Struct):
    """Holds an expression of a runbook.

    ``literal`` is its value if that is the same in every run; ``spaced`` are its pieces if there are spaces among them.
    ``is_late`` says that only steps can use it, and ``is_text`` that its value is a string, which can be compared.
    """

    source: str
    literal: str | None = None
    is_late: bool = False
    is_text: bool = True
    spaced: tuple[Literal | Expr, ...] = ()


Piece: TypeAlias = Literal | Expr
Pieces: TypeAlias = tuple[Piece, ...]


def literal_of(pieces: Sequence[Piece]) -> str | None:
    """Return the value of a word that is the same in every run."""
    found = [piece.text if isinstance(piece, Literal) else piece.literal for piece in pieces]
    texts = [text for text in found if text is not None]
    return "".join(texts) if len(texts) == len(found) else None


def base_name(pieces: Sequence[Piece]) -> str:
    """Return the last part of a path, or an empty string if it is unknown."""
    known = ""
    for piece in pieces:
        text = piece.text if isinstance(piece, Literal) else piece.literal
        known = "\0" if text is None else known + text
    name = PurePosixPath(known).name
    return "" if "\0" in name else name


def as_token(pieces: Sequence[Piece]) -> str:
    """Write a word as one token of a command line."""
    merged = merge(pieces)
    if not merged:
        return "''"
    literals = [piece.text for piece in merged if isinstance(piece, Literal)]
    is_safe = all(_SAFE.fullmatch(text) for text in literals)
    if is_safe or len(literals) == len(merged) or any(text.endswith("$") for text in literals):
        return "".join(_quoted(piece.text) if isinstance(piece, Literal) else _braced(piece) for piece in merged)
    inside = [_in_double_quotes(piece.text) if isinstance(piece, Literal) else _braced(piece) for piece in merged]
    return f'"{"".join(inside)}"'


def as_text(pieces: Sequence[Piece]) -> str:
    """Write a word as a string that may contain expressions."""
    parts: list[str] = []
    for piece in merge(pieces):
        if isinstance(piece, Literal):
            parts.append(_escaped(piece.text))
            continue
        if parts and parts[-1].endswith("$"):
            # They would turn the braces into literal ones.
            text = parts[-1].rstrip("$")
            parts[-1] = f'{text}${{{{ "{"$" * (len(parts[-1]) - len(text))}" }}}}'
        parts.append(_braced(piece))
    return "".join(parts)


def as_expression(pieces: Sequence[Piece]) -> str:
    """Write a word as an expression whose value is a string."""
    parts = [string_of(piece.text) if isinstance(piece, Literal) else _operand(piece) for piece in merge(pieces)]
    return " ~ ".join(parts) or '""'


def string_of(text: str) -> str:
    """Write a string as an expression."""
    escaped = text.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
    if '"' not in escaped:
        return f'"{escaped}"'
    return "'" + escaped.replace("'", "\\'") + "'"


def _operand(piece: Expr) -> str:
    is_name = re.fullmatch(r"[\w.]+(\([^()]*\))?", piece.source)
    source = piece.source if is_name else f"({piece.source})"
    return source if piece.is_text else f"({source} | string)"


def merge(pieces: Sequence[Piece]) -> list[Piece]:
    """Join neighbouring literals, and leave empty ones out."""
    made: list[Piece] = []
    for piece in pieces:
        if isinstance(piece, Literal) and made and isinstance(made[-1], Literal):
            made[-1] = Literal(text=made[-1].text + piece.text)
        elif not isinstance(piece, Literal) or piece.text:
            made.append(piece)
    return made


def _braced(piece: Expr) -> str:
    return f"${{{{ {piece.source} }}}}"


def _escaped(text: str) -> str:
    return text.replace(OPEN, f"${OPEN}")


def _quoted(text: str) -> str:
    if _SAFE.fullmatch(text):
        return text
    if "'" not in text:
        return f"'{_escaped(text)}'"
    return f'"{_in_double_quotes(text)}"'


def _in_double_quotes(text: str) -> str:
    return _escaped(text.replace("\\", "\\\\").replace('"', '\\"'))
