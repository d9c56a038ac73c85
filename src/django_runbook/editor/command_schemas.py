"""Describes the management commands of a project as JSON Schemas: their names, their help and their options."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from django.core.management.base import BaseCommand

from django_runbook.binding.catalog import BrokenCommandError, Catalog, CommandSpec
from django_runbook.binding.checking_parser import CheckingParser
from django_runbook.binding.parsers import new_parser
from django_runbook.editor.help_texts import text_of, usage_of
from django_runbook.editor.option_schemas import options_schema
from django_runbook.editor.option_values import frequent_values
from django_runbook.editor.patterns import character_class, escaped
from django_runbook.editor.value_schemas import EXPRESSION_PATTERN, Schema, reference
from django_runbook.exceptions import in_words
from django_runbook.structs import Struct


class DescribedCommand(Struct):
    """Describes one command: its ``text`` in Markdown, and the schema of its options; None accepts any option.

    ``condition`` is the schema of the steps that call it.
    """

    name: str
    text: str
    condition: Schema
    options: Schema | None = None


def describe_commands(catalog: Catalog, *, databases: Collection[str]) -> list[DescribedCommand]:
    """Describe all commands of the project, sorted by name; one that cannot be loaded has no options."""
    return [describe_command(name, catalog, databases=databases) for name in sorted(catalog.names)]


def describe_command(name: str, catalog: Catalog, *, databases: Collection[str]) -> DescribedCommand:
    """Describe one command of the project."""
    app = catalog.names[name]
    try:
        spec = catalog.get(name)
        if spec.parser is not None:
            return _described(spec, spec.parser, databases)
        reason = f"its options are unknown: {spec.reason}"
    except BrokenCommandError as error:
        reason = f"it cannot be loaded: {error}"
    except Exception as error:  # noqa: BLE001 - choices of a project may be computed, and raise anything
        reason = f"its options are unknown: {in_words(error)}"
    return DescribedCommand(name=name, text=f"**{name}** ({app})\n\n{reason}", condition={})


def command_definitions(commands: Iterable[DescribedCommand]) -> dict[str, Schema]:
    """Return the definitions of command lines and of the options of each command."""
    commands = list(commands)
    shared = _shared_options()
    options = {_definition(one.name): _with_shared(one.options, shared) for one in commands if one.options is not None}
    shared_definitions = {_shared_definition(name): schema for name, schema in shared.items()}
    return {"line": _line(commands), **frequent_values(), **shared_definitions, **options}


def conditions(commands: Iterable[DescribedCommand]) -> list[Schema]:
    """Return the rules that tie ``options`` to the command of the same step."""
    return [
        {"if": one.condition, "then": {"properties": {"options": reference(_definition(one.name))}}}
        for one in commands
        if one.options is not None
    ]


def _described(spec: CommandSpec, parser: CheckingParser, databases: Collection[str]) -> DescribedCommand:
    help_text = "\n\n".join(" ".join(part.split()) for part in text_of(parser.root.description).split("\n\n"))
    return DescribedCommand(
        name=spec.name,
        text=f"**{spec.name}** ({spec.app})\n\n{help_text}\n\n`{usage_of(spec.name, parser.root)}`",
        condition=_condition(spec.name, parser),
        options=options_schema(
            parser, definition=_definition(spec.name), databases=databases, is_open=spec.reads_own_argv
        ),
    )


def _condition(name: str, parser: CheckingParser) -> Schema:
    """Match the steps whose options are checked before the run: not those whose sub-command is unknown until then."""
    prefixes, files = character_class(parser.prefixes), character_class(parser.file_prefixes)
    unknown_words, unknown_values = [rf"\s[\"']?{prefixes}[^\s=]*{EXPRESSION_PATTERN}"], []
    if len(parser.parsers) > 1:
        unknown_words.append(EXPRESSION_PATTERN)
        unknown_values.append(EXPRESSION_PATTERN)
    if parser.file_prefixes:
        unknown_words.append(rf"\s[\"']?{files}")
        unknown_values.append(f"^{files}")
    pattern = f"^{escaped(name)}(?=\\s|$)(?![\\s\\S]*(?:{'|'.join(unknown_words)}))"
    properties: Schema = {"command": {"pattern": pattern}}
    if unknown_values:
        properties["args"] = {"items": {"not": {"type": "string", "pattern": "|".join(unknown_values)}}}
    return {"properties": properties, "required": ["command", "options"]}


def _line(commands: Iterable[DescribedCommand]) -> Schema:
    commands = list(commands)
    names = "|".join(escaped(one.name) for one in commands)
    return {
        "anyOf": [
            {
                "enum": [one.name for one in commands],
                "markdownEnumDescriptions": [one.text for one in commands],
                "errorMessage": "not a management command of this project",
            },
            {
                "type": "string",
                # A name may be quoted as in a shell.
                "pattern": rf"^\s*(?:(?:{names})(?:\s|$)|\S*[\"'\\])",
                "patternErrorMessage": "not a management command of this project",
            },
        ]
    }


def _shared_options() -> dict[str, Schema]:
    """Return the schemas of the options that every command of Django has, by name."""
    parser = CheckingParser(new_parser(BaseCommand(), "command"))
    found: Mapping[str, Schema] = options_schema(parser, definition="", databases=(), is_open=False)["properties"]
    return dict(found)


def _with_shared(options: Schema, shared: Mapping[str, Schema]) -> Schema:
    """Refer to the shared schema of an option that the command has not changed."""
    properties = {
        name: reference(_shared_definition(name)) if shared.get(name) == schema else schema
        for name, schema in options["properties"].items()
    }
    return {**options, "properties": properties}


def _definition(name: str) -> str:
    return f"options.{name}"


def _shared_definition(name: str) -> str:
    return f"shared.{name}"
