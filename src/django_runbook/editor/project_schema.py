"""Puts the JSON Schema of runbooks together, with the commands of a project or for any project."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Final

from django_runbook.binding.catalog import Catalog
from django_runbook.editor.command_schemas import command_definitions, conditions, describe_commands
from django_runbook.editor.mapping_schemas import definitions, file_schema
from django_runbook.editor.value_schemas import Schema

# The newest draft that yaml-language-server validates in full.
DRAFT: Final = "http://json-schema.org/draft-07/schema#"


def generic_schema() -> Schema:
    """Return the schema of the runbooks of any project: every key, and no command."""
    return {"$schema": DRAFT, "title": "Runbook", **file_schema(), "definitions": definitions()}


def project_schema(catalog: Catalog, *, databases: Collection[str], reporters: Collection[str] = ()) -> Schema:
    """Return the schema of the runbooks of this project: every key, and its commands with their options.

    ``databases`` are the aliases that ``--database`` accepts, and ``reporters`` the names that ``notify`` accepts.
    """
    commands = describe_commands(catalog, databases=databases)
    found = generic_schema()
    command_step = found["definitions"]["commandStep"]["else"]
    command_step["allOf"] = [*command_step["allOf"], *conditions(commands)]
    found["definitions"] |= command_definitions(commands)
    if reporters:
        found["properties"]["notify"]["items"]["enum"] = list(reporters)
    return found


def as_text(schema: Schema) -> str:
    """Write a schema as JSON; the same commands give the same text."""
    return json.dumps(schema, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
