"""Holds what the translation knows at a statement: variables, functions, and how the shell reacts to failures."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Final, TypeAlias

from django_runbook.importing.draft import Plain
from django_runbook.importing.problems import NotCarried
from django_runbook.importing.shell.nodes import Function
from django_runbook.importing.translation.pieces import Expr, Pieces, string_of
from django_runbook.structs import MutableStruct, field

_NOT_A_NAME: Final = re.compile(r"[^a-z0-9_]+")
_SECRET: Final = re.compile(r"PASSWORD|PASSWD|SECRET|TOKEN|API_?KEY|PRIVATE_?KEY|CREDENTIAL|_DSN$", re.IGNORECASE)
_SECRET_VALUE: Final = re.compile(r"://[^/\s:@]*:[^/\s@]+@")
_MAX_NAME: Final = 60
# A value, or the reason why it is unknown.
Value: TypeAlias = "Pieces | str"


def is_secret(name: str, value: str = "") -> bool:
    """Return whether a variable holds what no file should."""
    return bool(_SECRET.search(name) or _SECRET_VALUE.search(value))


class Declared(MutableStruct):
    """Collects what a file would declare, by name; ``arguments`` names those of the script by their number.

    ``read`` are the variables whose value was looked at; ``unsplit`` the expressions that a shell would have split.
    """

    params: dict[str, Plain] = field(default_factory=dict)
    env: dict[str, str | None] = field(default_factory=dict)
    secrets: set[str] = field(default_factory=set)
    vars: dict[str, str] = field(default_factory=dict)
    arguments: dict[str, str] = field(default_factory=dict)
    read: set[str] = field(default_factory=set)
    unsplit: set[str] = field(default_factory=set)

    def name_of(self, shell_name: str) -> str:
        """Return a name for a variable or a parameter that no other one has."""
        return _unused(as_name(shell_name, "value"), {*self.vars, *self.params})


class Names(MutableStruct):
    """Gives ids to steps and names to locks, each once in a file."""

    ids: set[str] = field(default_factory=set)
    locks: dict[str, str] = field(default_factory=dict)

    def new_id(self, text: str) -> str:
        name = _unused(as_name(text, "step"), self.ids)
        self.ids.add(name)
        return name

    def lock(self, path: str) -> str:
        """Return the name of the lock of a file: its stem, or its whole path if that is taken."""
        if path not in self.locks:
            stem = re.sub(r"\.(lock|lck|pid)$", "", path.rstrip("/").rpartition("/")[2]) or path
            self.locks[path] = path if stem in self.locks.values() else stem
        return self.locks[path]


class ShellScope(MutableStruct):
    """Holds the state of the shell; a subshell works on a copy.

    ``often`` are the variables that are set more than once: their values are written where they are used. The exit
    code of the last statement is that of the script, or of a subshell, if the scope ``is_tail``. If it
    ``forgives_left``, a failure before the last ``&&`` of the next statement ends nothing. In a loop that ``is_loop``,
    the next item follows the last statement. If it ``is_judged``, the exit code of the next statement decides what
    runs after it. If it ``is_strict``, an exit around the next statement ends the script, and its failure does not.
    Where the shell ignores "set -e", because an exit code decides what follows, ``ignored_errexit`` is the state of
    that option around it. ``list_stops`` says that failures in the last list ended the script. ``acquired`` is a lock
    that a function has left to its caller, if it ``is_called``.
    """

    declared: Declared
    names: Names
    often: frozenset[str] = frozenset()
    values: dict[str, Value] = field(default_factory=dict)
    exported: dict[str, str] = field(default_factory=dict)
    functions: dict[str, Function] = field(default_factory=dict)
    positionals: tuple[Pieces, ...] | None = None
    descriptors: dict[str, str] = field(default_factory=dict)
    depth: int = 0
    stops_on_failure: bool = False
    stops_on_unset: bool = False
    sees_pipe_failures: bool = False
    is_branch: bool = False
    is_tail: bool = False
    forgives_left: bool = False
    is_loop: bool = False
    is_judged: bool = False
    is_strict: bool = False
    ignored_errexit: bool | None = None
    is_called: bool = False
    list_stops: bool = False
    acquired: dict[str, Plain] | None = None

    def copy(self, **changes: object) -> ShellScope:
        """Return a scope whose changes do not reach this one."""
        fields = {name: getattr(self, name) for name in self.__struct_fields__}
        for name in ("values", "exported", "functions", "descriptors"):
            fields[name] = dict(fields[name])
        return ShellScope(**{**fields, **changes})

    def judged(self) -> ShellScope:
        """Return the scope of a statement whose exit code decides what follows: "set -e" ends nothing in it."""
        around = self.stops_on_failure if self.ignored_errexit is None else self.ignored_errexit
        return self.copy(stops_on_failure=False, is_judged=True, ignored_errexit=around)

    def lookup(self, name: str) -> Pieces:
        """Return the value of a variable of the script; raise NotCarried if it is unknown."""
        value = self.values[name]
        self.declared.read.add(name)
        if isinstance(value, str):
            raise NotCarried(value)
        return value

    def environment(self, name: str, default: str | None) -> Expr:
        """Return the expression of a variable that the script did not set; raise NotCarried for a second default."""
        if is_secret(name):
            self.declared.secrets.add(name)
            return Expr(source=f"secrets.{name}")
        if default is None and not self.stops_on_unset:
            default = ""
        earlier = self.declared.env.setdefault(name, default)
        if earlier == default:
            return Expr(source=f"env.{name}")
        if earlier == "" and default and "${{" not in default:
            return Expr(source=f'env.{name} if env.{name} != "" else {string_of(default)}')
        raise NotCarried(f"${name} has different defaults in different places: set it in one place")

    def parameter(self, number: str, default: Plain) -> Expr:
        """Return the expression of an argument of the script; raise NotCarried for a second default."""
        name = self.declared.arguments.setdefault(number, f"arg{number}")
        if self.declared.params.setdefault(name, default) != default:
            raise NotCarried(f"${number} has different defaults in different places: set it in one place")
        is_date = isinstance(default, Mapping) and default.get("type") == "date"
        return Expr(source=f"params.{name}", is_text=not is_date)

    def forget(self, names: Sequence[str], reason: str) -> None:
        """Mark variables whose values depend on what happens in a run."""
        for name in names:
            self.values[name] = reason
            self.exported.pop(name, None)


def as_name(text: str, otherwise: str) -> str:
    """Return a text as the name of a step, a parameter or a variable."""
    name = _NOT_A_NAME.sub("_", text.lower()).strip("_0123456789")[:_MAX_NAME].strip("_")
    return name or otherwise


def _unused(base: str, taken: Collection[str]) -> str:
    name, number = base, 1
    while name in taken:
        number += 1
        name = f"{base}_{number}"
    return name
