"""Reads ``env``: the environment variables that a file declares, and those that a command is started with."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

from django_runbook.document.diagnostics import Span, diagnose
from django_runbook.document.expressions import Template
from django_runbook.document.keys import EXPECTED, Kind
from django_runbook.document.runbook import EnvironmentVariable, Option
from django_runbook.document.syntax.nodes import Mapping, MissingNode, Node, Scalar, Sequence, span_of
from django_runbook.document.syntax.scalars import describe, resolve
from django_runbook.document.validation.reading import Keys, Reading

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def declared(keys: Keys, reading: Reading, *, secrets: Collection[str]) -> tuple[EnvironmentVariable, ...]:
    """Read ``env`` of a file: a list of names, or of mappings with a name and a default."""
    if "env" not in keys:
        return ()
    node = keys["env"][1]
    if isinstance(node, Sequence):
        found = tuple(one for item in node.items if (one := _variable(item, reading)) is not None)
        _report_repeated(found, reading, secrets=secrets)
        return found
    if isinstance(node, Mapping):
        help_text = 'write "env: [{name: REGION, default: eu}]"; a mapping sets the variables of a command, in its step'
        reading.report("RB205", f'"env" of a file must be {EXPECTED["env"]}, not a mapping', node, help_text=help_text)
    else:
        reading.expected("env", EXPECTED["env"], node)
    return ()


def of_command(keys: Keys, reading: Reading) -> tuple[Option, ...]:
    """Read ``env`` of a command: a mapping of names to values."""
    node = keys["env"][1]
    if isinstance(node, Mapping):
        return tuple(one for key, value in node.entries if (one := _assignment(key, value, reading)) is not None)
    if not isinstance(node, MissingNode):
        message = f'"env" of a command must be a mapping of names to values, not {describe(node)}'
        help_text = 'write it like "env: {REGION: eu}"'
        if isinstance(node, Sequence):
            help_text += "; a list declares the variables that expressions read, at the top of the file"
        reading.report("RB205", message, node, help_text=help_text)
    return ()


def _assignment(key: Scalar, node: Node, reading: Reading) -> Option | None:
    if not _NAME.fullmatch(key.text):
        _report_name(key, reading, assignment="{name}: …")
    elif isinstance(node, Mapping | Sequence):
        message = f'the value of "{key.text}" must be a string, not {describe(node)}'
        reading.report("RB205", message, node, help_text="join its items in an expression")
    elif isinstance(node, Scalar) and "\0" in node.text:
        message = f'the value of "{key.text}" has a NUL character, which no environment variable can have'
        reading.report("RB205", message, node, help_text="remove it")
    else:
        return Option(name=key.text, name_span=span_of(key), value=reading.value(node))
    return None


def _variable(node: Node, reading: Reading) -> EnvironmentVariable | None:
    if isinstance(node, MissingNode):
        return None
    if isinstance(node, Mapping):
        _, fields = reading.fields(node, Kind.VARIABLE)
        if "name" not in fields:
            where = node.entries[0][0] if node.entries else node
            reading.report("RB204", 'a variable of "env" needs "name"', where)
            return None
        name_node = fields["name"][1]
        name, default = _name(name_node, reading), _default(fields, reading)
    else:
        name_node, default = node, None
        name = _name(node, reading)
    return EnvironmentVariable(name=name, span=span_of(name_node), default=default) if name else None


def _name(node: Node, reading: Reading) -> str:
    if isinstance(node, MissingNode):
        return ""
    if isinstance(node, Scalar) and isinstance(resolve(node), str):
        if _NAME.fullmatch(node.text):
            return node.text
        _report_name(node, reading, assignment="{{name: {name}, default: …}}")
    else:
        message = f"a variable must be a name, or a mapping with name and default, not {describe(node)}"
        reading.report("RB205", message, node, help_text='write it like "REGION" or "{name: REGION, default: eu}"')
    return ""


def _report_name(node: Scalar, reading: Reading, *, assignment: str) -> None:
    """Report an invalid name; ``assignment`` is how to write a name with a value."""
    message = f'"{node.text}" is not the name of an environment variable'
    help_text = "use letters, digits and underscores, and begin with a letter or an underscore"
    if (name := node.text.partition("=")[0]) != node.text and _NAME.fullmatch(name):
        help_text = f"write the value as {assignment.format(name=name)}"
    reading.report("RB205", message, node, help_text=help_text)


def _default(fields: Keys, reading: Reading) -> str | None:
    if "default" not in fields:
        return None
    node = fields["default"][1]
    located = reading.value(node)
    if isinstance(located.value, Template):
        message = 'the "default" of an environment variable does not take expressions'
        reading.report("RB205", message, node, help_text='compute the value under "vars"')
    elif located.value is None or isinstance(located.value, tuple | dict):
        message = f'the "default" of an environment variable must be a string, not {describe(node)}'
        help_text = "leave it out if the variable must be set" if located.value is None else ""
        reading.report("RB205", message, node, help_text=help_text)
    else:
        return located.text
    # The variable has a default, so no other error follows.
    return ""


def _report_repeated(found: Collection[EnvironmentVariable], reading: Reading, *, secrets: Collection[str]) -> None:
    first: dict[str, Span] = {}
    for variable in found:
        earlier = first.setdefault(variable.name, variable.span)
        if variable.name in secrets:
            message = f'"{variable.name}" is in "secrets" too, where its value is masked'
            help_text = 'remove it from "env", and read it as secrets.' + variable.name
            reading.report("RB225", message, variable.span, help_text=help_text)
        elif earlier is not variable.span:
            reading.diagnostics.append(
                diagnose(
                    "RB225",
                    message=f'the variable "{variable.name}" is listed twice',
                    span=variable.span,
                    help_text="remove one of the two",
                    related=earlier,
                    related_message="first listed here",
                )
            )
