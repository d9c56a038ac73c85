"""Defines the values of typed keys as strict schemas of pydantic, one for each kind of mapping.

`reading` reads the nodes of all other keys: mappings, lists of steps and expressions. The schemas are written for
pydantic's core: a model compiles to the same, but its import and its building take five times as long, a third of a
whole start. The first typed key imports this module.
"""

from __future__ import annotations

from functools import cache
from typing import Final

from pydantic_core import CoreSchema, SchemaValidator
from pydantic_core import core_schema as core

from django_runbook.document.keys import MAX_ATTEMPTS, MAX_ITEMS, Kind

Fields = dict[str, CoreSchema]

_STRICT: Final = core.CoreConfig(strict=True)
_BOOLEAN: Final = core.bool_schema()
_TEXT: Final = core.str_schema()
_NAME: Final = core.str_schema(pattern=r"^[a-z][a-z0-9_]*$", max_length=100)
_VARIABLES: Final = core.list_schema(core.str_schema(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$"))
_ERRORS: Final = core.list_schema(core.union_schema([core.int_schema(), _TEXT]))
_QUEUE: Final = core.union_schema([core.literal_schema([False]), core.str_schema(min_length=1, max_length=200)])
_POLICY: Final[Fields] = {
    "tags": core.list_schema(core.str_schema(min_length=1)),
    "continue_on_error": core.union_schema([_BOOLEAN, _ERRORS]),
    "no_log": _BOOLEAN,
}
_DEFAULTS: Final[Fields] = {
    **_POLICY,
    "capture": core.nullable_schema(core.literal_schema(["text", "lines", "json"])),
    "idempotent": _BOOLEAN,
    "atomic": _BOOLEAN,
    "isolate": core.nullable_schema(_BOOLEAN),
    "queue": core.nullable_schema(_QUEUE),
}
_STEP: Final[Fields] = {
    "id": core.nullable_schema(_NAME),
    "description": _TEXT,
    "max_parallel": core.int_schema(ge=1, le=MAX_ITEMS),
}
_CALL: Final[Fields] = {**_STEP, **_POLICY}
_GROUP: Final[Fields] = {**_CALL, "fail_fast": _BOOLEAN, "queue": core.nullable_schema(_QUEUE)}

FIELDS: Final[dict[Kind, Fields]] = {
    Kind.FILE: {
        "name": core.nullable_schema(_TEXT),
        "description": _TEXT,
        "secrets": _VARIABLES,
        "fail_fast": _BOOLEAN,
        "journal": _BOOLEAN,
        "unusual": core.literal_schema(["warn", "fail", "ignore"]),
        "notify": core.list_schema(_TEXT),
    },
    Kind.COMMAND: {**_DEFAULTS, **_STEP},
    Kind.GROUP: _GROUP,
    Kind.PARALLEL: _GROUP,
    Kind.CALL: _CALL,
    Kind.RETRY: {
        "attempts": core.int_schema(ge=1, le=MAX_ATTEMPTS),
        "backoff": core.float_schema(ge=1, le=100, allow_inf_nan=False),
        "jitter": _BOOLEAN,
        "errors": core.nullable_schema(_ERRORS),
    },
    Kind.LOCK: {"on_conflict": core.nullable_schema(core.literal_schema(["fail", "wait", "skip"]))},
    Kind.SCHEDULE: {"catch_up": _BOOLEAN},
    Kind.PARAM: {
        "type": core.nullable_schema(
            core.literal_schema(["string", "integer", "number", "boolean", "date", "datetime", "list"])
        ),
        "help": _TEXT,
    },
    Kind.VARIABLE: {},
    Kind.DEFAULTS: _DEFAULTS,
}
_REQUIRED: Final = frozenset(("attempts",))


def schema_of(kind: Kind) -> CoreSchema:
    """Return the schema of the typed keys of one kind of mapping; other keys are refused."""
    fields = {name: core.typed_dict_field(value, required=name in _REQUIRED) for name, value in FIELDS[kind].items()}
    return core.typed_dict_schema(fields, extra_behavior="forbid", config=_STRICT)


@cache
def validator_of(kind: Kind) -> SchemaValidator:
    """Return what checks the typed keys of one kind of mapping."""
    return SchemaValidator(schema_of(kind))
