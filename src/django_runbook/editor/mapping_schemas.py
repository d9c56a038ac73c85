"""Describes each kind of mapping of a runbook as a JSON Schema, from the tables that the check uses."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any, Final

from pydantic.json_schema import GenerateJsonSchema

from django_runbook.document.keys import NODE_KEYS, VERBS, Kind
from django_runbook.document.validation import schema
from django_runbook.document.validation.foreign import FOREIGN
from django_runbook.editor.key_texts import markdown_of, text_of
from django_runbook.editor.snippets import STEP_SNIPPETS
from django_runbook.editor.value_schemas import VALUE_DEFINITIONS, Schema, described, reference, value_schema

# The definition of each kind of mapping below the file.
_DEFINITIONS: Final[Mapping[Kind, str]] = {
    Kind.COMMAND: "commandStep",
    Kind.GROUP: "group",
    Kind.PARALLEL: "parallelGroup",
    Kind.CALL: "runbookStep",
    Kind.RETRY: "retrySettings",
    Kind.LOCK: "lockSettings",
    Kind.SCHEDULE: "scheduleSettings",
    Kind.PARAM: "parameter",
    Kind.VARIABLE: "variable",
    Kind.DEFAULTS: "defaults",
}
_REQUIRED: Final[Mapping[Kind, tuple[str, ...]]] = {
    Kind.FILE: ("steps",),
    Kind.COMMAND: ("command",),
    Kind.GROUP: ("steps",),
    Kind.PARALLEL: ("parallel",),
    Kind.CALL: ("runbook",),
    Kind.RETRY: ("attempts",),
    Kind.LOCK: ("name",),
    Kind.SCHEDULE: ("cron",),
    Kind.VARIABLE: ("name",),
}
# Other tools have no such mappings, so their words are expected in these.
_WITH_FOREIGN_WORDS: Final = frozenset((Kind.FILE, Kind.COMMAND, Kind.GROUP, Kind.PARALLEL, Kind.CALL))
_STEPS: Final = (Kind.COMMAND, Kind.GROUP, Kind.PARALLEL, Kind.CALL)


def file_schema() -> Schema:
    """Return the schema of a file, without its definitions."""
    return _mapping(Kind.FILE)


def definitions() -> dict[str, Schema]:
    """Return the schemas that the schema of a file refers to; ``line`` accepts any command line."""
    mappings = {name: _mapping(kind) for kind, name in _DEFINITIONS.items()}
    mappings |= {_DEFINITIONS[kind]: _only(kind, mappings[_DEFINITIONS[kind]]) for kind in _STEPS}
    file_lock = {key: value for key, value in mappings["lockSettings"].items() if key != "required"}
    steps = [reference("line"), *(reference(_DEFINITIONS[kind]) for kind in _STEPS)]
    return {
        **VALUE_DEFINITIONS,
        **mappings,
        "fileLockSettings": file_lock,
        "line": {"type": "string", "pattern": r"\S"},
        "step": {"anyOf": steps, "defaultSnippets": list(STEP_SNIPPETS)},
        "foreignWords": {"allOf": _refused_words()},
    }


def _mapping(kind: Kind) -> Schema:
    found: Schema = {
        "type": "object",
        "properties": {key: _property(kind, key, value) for key, value in _values(kind).items()},
        "additionalProperties": False,
    }
    if kind in _REQUIRED:
        found["required"] = list(_REQUIRED[kind])
    if kind in _WITH_FOREIGN_WORDS:
        # Accepted here and refused there, so that only the hint is shown.
        found["patternProperties"] = {f"^(?:{'|'.join(sorted(_hints()))})$": True}
        found["allOf"] = [reference("foreignWords")]
    return found


def _only(kind: Kind, mapping: Schema) -> Schema:
    """Return the schema of a step of one kind; one of another kind is not compared with it.

    An editor reports the errors of the alternative that fits best: without this, a group with a key of commands would
    be reported as a command.
    """
    others = [verb for verb in VERBS if verb not in _REQUIRED[kind]]
    return {
        "if": {"type": "object", "anyOf": [{"required": [verb]} for verb in others]},
        "then": {
            "properties": dict.fromkeys(others, False),
            "errorMessage": f"a step has only one of {', '.join(VERBS)}",
        },
        "else": mapping,
    }


def _values(kind: Kind) -> dict[str, Schema]:
    typed = GenerateJsonSchema().generate(schema.schema_of(kind))["properties"]
    nodes = {key: value_schema(kind, key) for key in sorted(NODE_KEYS[kind])}
    required = _REQUIRED.get(kind, ())
    values = {**nodes, **{key: _without_title(value) for key, value in typed.items()}}
    return {**{key: values[key] for key in required}, **values}


def _without_title(value: Mapping[str, Any]) -> Schema:
    return {name: one for name, one in value.items() if name != "title" and not (name == "default" and not one)}


def _property(kind: Kind, key: str, value: Schema) -> Schema:
    return described(value, text_of(kind, key), markdownDescription=markdown_of(kind, key))


def _hints() -> dict[str, str]:
    """Return what to write instead of each word that is not a key of any of these mappings."""
    known = {key for kind in _WITH_FOREIGN_WORDS for key in (*NODE_KEYS[kind], *schema.FIELDS[kind])}
    return {word: hint for word, hint in FOREIGN.items() if word not in known}


def _refused_words() -> list[Schema]:
    words = defaultdict[str, list[str]](list)
    for word, hint in _hints().items():
        words[hint].append(word)
    return [
        {"properties": dict.fromkeys(several, False), "errorMessage": f"unknown key; {hint}"}
        for hint, several in words.items()
    ]
