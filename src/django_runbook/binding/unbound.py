"""Defines what the binding of one command is given, and what it gives back."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field

from django_runbook.document.diagnostics import Diagnostic, Span, diagnose
from django_runbook.document.runbook import Located, Option


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """A token of the command line.

    ``written_length`` is the number of characters in front of its first expression; None if it has none.
    """

    text: str
    span: Span
    written_length: int | None = None

    @property
    def is_written(self) -> bool:
        return self.written_length is None


@dataclass(frozen=True, slots=True, kw_only=True)
class UnboundCommand:
    """What a step gives to its command, with all values known or `UNKNOWN`."""

    name: str
    name_span: Span
    words: tuple[Word, ...] = ()
    args: tuple[Located, ...] = ()
    options: tuple[Option, ...] = ()
    verbosity: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """The tokens after the command's name; they mean nothing where a diagnostic is an error."""

    tokens: tuple[str, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()
    is_checked: bool = True


@dataclass(frozen=True, slots=True)
class Piece:
    """A token with its place; ``kind`` and ``action`` say what it must turn out to be."""

    text: str
    span: Span
    kind: str
    action: argparse.Action | None = None


@dataclass(slots=True)
class Problems:
    """Collects what stands against an invocation; ``unknown_flags`` are those of its command line that are reported."""

    command: UnboundCommand
    found: list[Diagnostic] = field(default_factory=list)
    unknown_flags: list[str] = field(default_factory=list)

    def add(self, code: str, message: str, span: Span, help_text: str = "") -> None:
        self.found.append(diagnose(code, message=message, span=span, help_text=help_text))
