"""Defines the words of a shell command, before anything in them is expanded."""

from __future__ import annotations

from typing import TypeAlias

from django_runbook.structs import Struct


class Text(Struct):
    """Holds literal characters; the shell still expands those that are not quoted."""

    value: str
    is_quoted: bool = False


class Variable(Struct):
    """Holds ``$NAME`` or ``${NAME:-default}``; ``operator`` is what follows the name, without it."""

    name: str
    operator: str = ""
    default: tuple[Part, ...] = ()
    is_quoted: bool = False


class Substitution(Struct):
    """Holds the source of ``$(…)``, whose output becomes part of the word."""

    source: str
    line: int
    is_quoted: bool = False


class Opaque(Struct):
    """Holds a part that only a shell can expand."""

    source: str
    reason: str


Part: TypeAlias = Text | Variable | Substitution | Opaque


class ShellWord(Struct):
    """Holds the parts of one word and its source."""

    parts: tuple[Part, ...]
    source: str
    line: int = 0

    @property
    def literal(self) -> str | None:
        """Return the text of a word in which nothing is expanded."""
        if all(isinstance(part, Text) for part in self.parts):
            return "".join(part.value for part in self.parts if isinstance(part, Text))
        return None
