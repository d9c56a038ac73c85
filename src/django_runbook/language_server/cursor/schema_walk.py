"""Follows the nodes of a runbook through its JSON Schema: which keys and which values can be at a place.

The schema is ours, so only what it uses is read: references, ``anyOf``, ``allOf``, and ``if`` with required keys.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final
from urllib.parse import unquote

from django_runbook.document.syntax.nodes import Mapping, Node
from django_runbook.editor.value_schemas import Schema
from django_runbook.language_server.cursor.cursor_places import Around

_BOOLEANS: Final = ("true", "false")


class SchemaWalk:
    """Reads one schema with its definitions."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema

    def at(self, around: Sequence[Around], node: Node | None = None) -> list[Schema]:
        """Return the schemas of the node to which a path leads; one of several alternatives applies."""
        nodes: list[Node | None] = [*(one for one, _ in around), node]
        found = list(self.alternatives(self._schema, nodes[0]))
        for (_, name), inner_node in zip(around, nodes[1:], strict=True):
            found = [
                schema
                for one in found
                if (inner := _inner(one, name)) is not None
                for schema in self.alternatives(inner, inner_node)
            ]
        return found

    def alternatives(self, schema: Schema, node: Node | None) -> Iterator[Schema]:
        """Yield a schema without references and conditions, and each of its alternatives."""
        if "$ref" in schema:
            yield from self.alternatives(self._definition(schema["$ref"]), node)
        if "if" in schema:
            yield from self.alternatives(schema.get("then" if _applies(schema["if"], node) else "else", {}), node)
        for one in (*schema.get("anyOf", ()), *schema.get("allOf", ())):
            yield from self.alternatives(one, node)
        yield schema

    def has(self, schemas: Sequence[Schema], definition: str) -> bool:
        """Return whether one of the schemas is the definition of this name."""
        return any(schema is self._schema["definitions"][definition] for schema in schemas)

    def values(self, schemas: Sequence[Schema], node: Node | None = None) -> list[str]:
        """Return the values that schemas list, as a file writes them."""
        found: dict[str, None] = {}
        for schema in (one for outer in schemas for one in self.alternatives(outer, node)):
            listed = [*schema.get("enum", ()), *([schema["const"]] if "const" in schema else ())]
            found |= dict.fromkeys(_written(value) for value in listed if value is not None)
            if "boolean" in _types(schema):
                found |= dict.fromkeys(_BOOLEANS)
        return list(found)

    def _definition(self, address: str) -> Schema:
        found: Any = self._schema
        for step in address.removeprefix("#/").split("/"):
            found = found[unquote(step).replace("~1", "/").replace("~0", "~")]
        schema: Schema = found
        return schema


def properties_of(schemas: Sequence[Schema]) -> dict[str, Schema]:
    """Return the keys that any of the schemas describes."""
    return {
        key: value
        for schema in schemas
        for key, value in schema.get("properties", {}).items()
        if isinstance(value, dict)
    }


def _inner(schema: Schema, name: int | str) -> Schema | None:
    found: Any
    if isinstance(name, int):
        found = schema.get("items")
    else:
        found = schema.get("properties", {}).get(name, schema.get("additionalProperties"))
    return found if isinstance(found, dict) else None


def _applies(condition: Schema, node: Node | None) -> bool:
    keys = {key.text for key, _ in node.entries} if isinstance(node, Mapping) else set()
    return any(keys.issuperset(one.get("required", ())) for one in condition.get("anyOf", (condition,)))


def _types(schema: Schema) -> Sequence[str]:
    types = schema.get("type", ())
    return (types,) if isinstance(types, str) else types


def _written(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
