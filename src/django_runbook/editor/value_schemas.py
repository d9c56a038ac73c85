"""Describes the values of the keys that ``document.reading`` reads from nodes, as JSON Schemas.

A schema accepts whatever the check accepts; what no schema can express is left to the check.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from django_runbook.document.keys import HANDLERS, MAX_ATTEMPTS, MAX_ITEMS, Kind

Schema = dict[str, Any]

EXPRESSION_PATTERN: Final = r"\$\{\{"
_NAMES: Final[Schema] = {"pattern": r"^[^\s\d-][^\s-]*$", "patternErrorMessage": "not a name for expressions"}


def reference(definition: str, *path: str) -> Schema:
    """Return a schema that refers to a definition, or to a part of it."""
    steps = (quote(step.replace("~", "~0").replace("/", "~1"), safe="~") for step in (definition, *path))
    return {"$ref": f"#/definitions/{'/'.join(steps)}"}


def described(value: Schema, text: str, **texts: str) -> Schema:
    """Return the schema of a value with texts about it."""
    if not text:
        return value
    # Draft 7 ignores what is beside a reference.
    beside = {"allOf": [value]} if "$ref" in value else value
    return {"description": text, **texts, **beside}


VALUE_DEFINITIONS: Final[Mapping[str, Schema]] = {
    "expression": {
        "type": "string",
        "pattern": EXPRESSION_PATTERN,
        "patternErrorMessage": "neither a valid value nor an expression such as ${{ params.day }}",
    },
    "condition": {"type": ["string", "boolean", "number"], "minLength": 1},
    "duration": {
        "type": ["number", "string"],
        "minimum": 0,
        "pattern": r"^([0-9]+(\.[0-9]+)?|(?=.)([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+(\.[0-9]+)?s)?)$",
        "patternErrorMessage": "not a duration: write it as 90, 90s, 10m or 1h30m",
    },
    "steps": {"type": "array", "minItems": 1, "items": reference("step")},
    "cron": {
        "type": "string",
        "pattern": r"^\s*(\S+\s+){4}\S+\s*$",
        "patternErrorMessage": "not a cron expression of five fields: minute, hour, day of month, month, day of week",
    },
    "retry": {"anyOf": [{"type": "integer", "minimum": 1, "maximum": MAX_ATTEMPTS}, reference("retrySettings")]},
    "loop": {
        "anyOf": [
            {"type": "array", "maxItems": MAX_ITEMS},
            {
                "type": "object",
                "minProperties": 1,
                "propertyNames": _NAMES,
                "additionalProperties": {"anyOf": [{"type": "array"}, reference("expression")]},
            },
            reference("expression"),
        ]
    },
}

_TEXT: Final[Schema] = {"type": "string"}
_NAMED_VALUES: Final[Schema] = {"type": "object", "propertyNames": _NAMES}
_VALUES: Final[Mapping[str, Schema]] = {
    "$schema": _TEXT,
    "args": {"type": "array"},
    "choices": {"type": "array", "minItems": 1},
    "confirm": _TEXT,
    "default": {},
    "defaults": reference("defaults"),
    "delay": reference("duration"),
    "for_each": reference("loop"),
    "lock": {"anyOf": [{"const": False}, {"type": "string", "minLength": 1}, reference("lockSettings")]},
    "max_delay": reference("duration"),
    "name": _TEXT,
    "options": {"type": "object"},
    "retry": reference("retry"),
    "schedule": {"anyOf": [reference("cron"), reference("scheduleSettings")]},
    "cron": reference("cron"),
    "timezone": {"type": "string", "minLength": 1},
    "jitter": reference("duration"),
    "runbook": {
        "type": "string",
        "pattern": r"^(?!.*\$\{\{).",
        "patternErrorMessage": "not the name of a file without expressions",
    },
    "shards": {"type": ["integer", "string"], "minimum": 1, "maximum": MAX_ITEMS, "pattern": "^auto$"},
    "stdin": _TEXT,
    "timeout": reference("duration"),
    "until": reference("condition"),
    "vars": _NAMED_VALUES,
    "wait": reference("duration"),
    "when": reference("condition"),
    **dict.fromkeys(("steps", "parallel", *HANDLERS), reference("steps")),
}
_VARIABLE: Final[Schema] = {"type": "string", "pattern": r"^[A-Za-z_][A-Za-z0-9_]*$"}
_ASSIGNMENTS: Final[Schema] = {
    "type": "object",
    "propertyNames": _VARIABLE,
    "additionalProperties": {"type": ["string", "number", "boolean", "null"]},
}
_OF_KIND: Final[Mapping[tuple[Kind, str], Schema]] = {
    (Kind.FILE, "env"): {"type": "array", "items": {"anyOf": [_VARIABLE, reference("variable")]}},
    (Kind.COMMAND, "env"): _ASSIGNMENTS,
    (Kind.DEFAULTS, "env"): _ASSIGNMENTS,
    (Kind.VARIABLE, "name"): _VARIABLE,
    (Kind.VARIABLE, "default"): {"type": ["string", "number", "boolean"]},
    (Kind.FILE, "lock"): {
        "anyOf": [{"type": "boolean"}, {"type": "string", "minLength": 1}, reference("fileLockSettings")]
    },
    (Kind.FILE, "params"): {
        **_NAMED_VALUES,
        "additionalProperties": {
            "anyOf": [{"type": ["string", "number", "boolean", "array"]}, reference("parameter")],
        },
    },
    (Kind.CALL, "params"): {"type": "object"},
    (Kind.COMMAND, "command"): reference("line"),
}


def value_schema(kind: Kind, key: str) -> Schema:
    """Return the schema of the value of a key; raise KeyError for a key that no schema describes."""
    return _OF_KIND.get((kind, key)) or _VALUES[key]
