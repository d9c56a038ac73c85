"""Defines the input and the result of binding one command."""

from __future__ import annotations

import argparse

from django_runbook.document.diagnostics import Diagnostic, Span, diagnose
from django_runbook.document.runbook import Located, Option
from django_runbook.process_inputs import NO_INPUTS, ProcessInputs
from django_runbook.structs import MutableStruct, Struct, field


class Word(Struct):
    """Holds a token of the command line.

    ``written_length`` is the number of characters before its first expression; None without expressions.
    """

    text: str
    span: Span
    written_length: int | None = None

    @property
    def is_written(self) -> bool:
        return self.written_length is None


class UnboundCommand(Struct):
    """Holds the command line and the arguments of a step; values that exist only during the run are `UNKNOWN`."""

    name: str
    name_span: Span
    words: tuple[Word, ...] = ()
    args: tuple[Located, ...] = ()
    options: tuple[Option, ...] = ()
    verbosity: int | None = None


class Binding(Struct):
    """Holds the tokens after the name of the command; they are invalid if a diagnostic is an error."""

    tokens: tuple[str, ...] = ()
    process: ProcessInputs = NO_INPUTS
    diagnostics: tuple[Diagnostic, ...] = ()
    is_checked: bool = True


class Piece(Struct, kw_only=False):
    """Holds a token with its place; the parser must read it as its ``kind``, for its ``action``."""

    text: str
    span: Span
    kind: str
    action: argparse.Action | None = None


class Problems(MutableStruct, kw_only=False):
    """Collects the diagnostics of a command; ``unknown_flags`` are the flags that are reported already."""

    command: UnboundCommand
    found: list[Diagnostic] = field(default_factory=list)
    unknown_flags: list[str] = field(default_factory=list)

    def add(self, code: str, message: str, span: Span, help_text: str = "") -> None:
        self.found.append(diagnose(code, message=message, span=span, help_text=help_text))
