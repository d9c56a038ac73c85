"""Validates the text of a runbook against a schema, as an editor does."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand
from django.db import connections
from jsonschema import Draft7Validator

from django_runbook.binding.catalog import Catalog, CommandSpec
from django_runbook.binding.checking_parser import CheckingParser
from django_runbook.document.syntax import nodes, source
from django_runbook.document.syntax.parse import parse
from django_runbook.document.syntax.scalars import resolve
from django_runbook.editor.project_schema import project_schema


class FixedCatalog(Catalog):
    """Has these commands only."""

    def __init__(self, commands: Mapping[str, BaseCommand]) -> None:
        super().__init__()
        self._commands = commands

    @property
    def names(self) -> Mapping[str, str]:
        return dict.fromkeys(self._commands, "tests")

    def get(self, name: str) -> CommandSpec:
        parser = CheckingParser(self._commands[name].create_parser("manage.py", name))
        return CommandSpec(name=name, app="tests", parser=parser)


def command_of(add_arguments: Callable[[argparse.ArgumentParser], object], **attributes: Any) -> BaseCommand:
    """Make a command with these arguments."""
    own = {"add_arguments": lambda self, parser: add_arguments(parser), **attributes}
    made: BaseCommand = type("Command", (BaseCommand,), own)()
    return made


def schema_of(**commands: BaseCommand) -> dict[str, Any]:
    """Return the schema of a project with these commands."""
    return project_schema(FixedCatalog(commands), databases=tuple(connections))


def value_of(text: str) -> Any:
    """Return the values of a YAML text, as YAML 1.2 reads them."""
    root = parse(source.Source(path="runbook.yml", text=text)).root
    return None if root is None else _native(root)


def read(path: Path) -> Any:
    return value_of(path.read_text(encoding="utf-8"))


def _native(node: nodes.Node) -> Any:
    match node:
        case nodes.Scalar():
            return resolve(node)
        case nodes.Sequence():
            return [_native(item) for item in node.items]
        case nodes.Mapping():
            return {key.text: _native(value) for key, value in node.entries}
    return None


def is_accepted(schema: dict[str, Any], text: str) -> bool:
    """Return whether a schema accepts the text of a runbook."""
    return Draft7Validator(schema).is_valid(value_of(text))


def accepts_options(schema: dict[str, Any], command: str, options: Mapping[str, Any], **keys: Any) -> bool:
    """Return whether a schema accepts a step that calls a command with these options."""
    step = {"command": command, "options": dict(options), **keys}
    return Draft7Validator(schema).is_valid({"steps": [step]})
