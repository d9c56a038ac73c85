"""Defines the statements of a shell script; each knows its first line and its source."""

from __future__ import annotations

from typing import TypeAlias

from django_runbook.importing.shell.words import ShellWord
from django_runbook.structs import Struct


class Statement(Struct):
    """Holds what all statements share: the first line and the source."""

    line: int
    source: str


class Redirect(Struct):
    """Holds a redirection; ``text`` is the input of a here-document, as one word."""

    descriptor: str
    operator: str
    target: ShellWord | None = None
    text: ShellWord | None = None
    source: str = ""


class Assignment(Struct):
    """Holds ``NAME=value``; the value is None if it is a list or a part of one."""

    name: str
    value: ShellWord | None
    line: int
    source: str


class Remark(Statement):
    """Holds a comment of the script, without its sign."""

    text: str


class Simple(Statement):
    """Holds a command with its arguments."""

    words: tuple[ShellWord, ...]
    assignments: tuple[Assignment, ...] = ()
    redirects: tuple[Redirect, ...] = ()

    @property
    def program(self) -> str:
        """Return the name of the program without its folder; empty if the shell computes it."""
        name = self.words[0].literal if self.words else None
        return "" if name is None else name.rpartition("/")[2]


class Assignments(Statement):
    """Holds a statement that sets variables; ``exported`` are the names that commands see from here on."""

    assignments: tuple[Assignment, ...]
    exported: tuple[str, ...] = ()


class AndOr(Statement):
    """Holds ``left && right`` or ``left || right``."""

    operator: str
    left: Node
    right: Node


class Pipeline(Statement):
    """Holds commands that read each other's output."""

    commands: tuple[Node, ...]


class Negation(Statement):
    """Holds ``! command``."""

    command: Node


class Background(Statement):
    """Holds ``command &``."""

    command: Node


class Compound(Statement):
    """Holds ``{ … }``, or ``( … )`` with variables of its own."""

    statements: tuple[Node, ...]
    is_subshell: bool
    redirects: tuple[Redirect, ...] = ()


class IfBranch(Struct):
    """Holds a condition and the statements that it guards."""

    condition: tuple[Node, ...]
    statements: tuple[Node, ...]


class If(Statement):
    """Holds ``if``, with its ``elif`` branches and the statements of ``else``."""

    branches: tuple[IfBranch, ...]
    otherwise: tuple[Node, ...] = ()


class For(Statement):
    """Holds a loop over words."""

    variable: str
    values: tuple[ShellWord, ...]
    statements: tuple[Node, ...]


class While(Statement):
    """Holds ``while`` or ``until``."""

    condition: tuple[Node, ...]
    statements: tuple[Node, ...]
    is_until: bool


class Function(Statement):
    """Holds the definition of a function."""

    name: str
    statements: tuple[Node, ...]


class Condition(Statement):
    """Holds ``[ … ]``, ``[[ … ]]`` or ``test …`` as its words and operators, in order."""

    tokens: tuple[ShellWord | str, ...]


class Foreign(Statement):
    """Holds shell that has no counterpart, or that cannot be read."""

    reason: str


Node: TypeAlias = (
    Remark
    | Simple
    | Assignments
    | AndOr
    | Pipeline
    | Negation
    | Background
    | Compound
    | If
    | For
    | While
    | Function
    | Condition
    | Foreign
)
