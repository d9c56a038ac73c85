"""Describes the values of an option as a JSON Schema, from its argparse action.

The schema accepts every value that the check accepts: a value is refused only if no text of it could be right.
"""

from __future__ import annotations

import argparse
import enum
import itertools
import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, Final

from django.db import models

from django_runbook import argparse_compat
from django_runbook.binding.accepted import names_database
from django_runbook.binding.flags import MAX_COUNT, default_of
from django_runbook.document.syntax.scalars import resolve_plain
from django_runbook.editor.help_texts import is_plain, plain
from django_runbook.editor.value_schemas import EXPRESSION_PATTERN, Schema, reference

# An action, and the parser that it belongs to.
OwnedAction = tuple[argparse.Action, argparse.ArgumentParser]

_MAX_CHOICES: Final = 200
# The "in" of containers without a rule of their own: it finds what they list.
_CONTAINS: Final[tuple[object, ...]] = (
    list.__contains__,
    tuple.__contains__,
    set.__contains__,
    frozenset.__contains__,
    dict.__contains__,
    type({}.keys()).__contains__,
    range.__contains__,
    enum.EnumMeta.__contains__,
    type(models.TextChoices).__contains__,
    None,
)
_EQUALS: Final[tuple[object, ...]] = (str.__eq__, int.__eq__, float.__eq__)
_SEVERAL: Final = ("+", "*", argparse.REMAINDER)
# Texts that int() and float() may accept, in any script, and expressions.
_INTEGER_TEXT: Final = rf"^[^A-Za-z.]+$|{EXPRESSION_PATTERN}"
_FLOAT_TEXT: Final = rf"^[^A-Za-z]+([eE][^A-Za-z]*)?$|^\s*[-+]?([iI][nN][fF]|[nN][aA][nN])|{EXPRESSION_PATTERN}"
# Frequent declarations, whose schema is written once.
_FREQUENT: Final[Mapping[str, Mapping[str, Any]]] = {
    "value.flag": {"action": "store_true"},
    "value.text": {},
    "value.integer": {"type": int},
    "value.number": {"type": float},
    "value.texts": {"nargs": "*"},
    "value.repeated": {"action": "append"},
}


def option_value(actions: Sequence[OwnedAction], databases: Collection[str]) -> Schema:
    """Return the schema of what any of several options with a common name accepts."""
    schemas = [_value(action, parser, databases) for action, parser in actions]
    if not all(schemas):
        return {}
    alternatives = list({json.dumps(one, sort_keys=True): one for one in schemas}.values())
    found = alternatives[0] if len(alternatives) == 1 else {"anyOf": alternatives}
    return next((reference(name) for name, schema in frequent_values().items() if schema == found), found)


@cache
def frequent_values() -> Mapping[str, Schema]:
    """Return the definitions of frequent values."""
    parser = argparse.ArgumentParser()
    return {
        name: _value(parser.add_argument(f"--{number}", **declaration), parser, ())
        for number, (name, declaration) in enumerate(_FREQUENT.items())
    }


def listed_choices(action: argparse.Action, databases: Collection[str]) -> list[Any]:
    """Return the choices that JSON has, or the aliases of databases; empty if there are too many."""
    choices = action.choices
    if choices is None and databases and names_database(action, databases):
        return list(databases)
    # A generator could be read only once, and argparse needs it.
    if not isinstance(choices, Collection) or isinstance(choices, str):
        return []
    try:
        listed = list(itertools.islice(choices, _MAX_CHOICES + 1))
    except Exception:  # noqa: BLE001 - choices of a project may be computed, and raise anything
        return []
    if len(listed) > _MAX_CHOICES or not all(is_plain(one) and one is not None for one in listed):
        return []
    found = [plain(one) for one in listed]
    return sorted(found, key=str) if isinstance(choices, set | frozenset) else found


def _value(action: argparse.Action, parser: argparse.ArgumentParser, databases: Collection[str]) -> Schema:
    # One schema for several types where possible: an editor shows each alternative of an "anyOf".
    if isinstance(action, argparse.BooleanOptionalAction):
        return _expression_or("boolean", "null")
    if isinstance(action, argparse_compat.CountAction):
        return {**_expression_or("boolean", "integer", "null"), "minimum": 0, "maximum": MAX_COUNT}
    if action.nargs == 0:
        return _flag(action, parser)
    choices = listed_choices(action, databases)
    is_exact = bool(choices) and (action.choices is None or _is_exact(action.choices))
    # A function may convert more texts than those that it lists; the aliases are compared with the text.
    if is_exact and (action.choices is None or action.type in (None, str)):
        choices += _as_numbers(choices)
        other = _expression_or(*_flag_types(action)) if action.nargs == "?" else reference("expression")
        item = {"anyOf": [_one_of(choices), other]}
        # An expression may return a list.
        return {"anyOf": [_one_of(choices), _listing(action, _expression_or(*_flag_types(action), "null"), item)]}
    scalar = _scalar(action, has_choices=is_exact)
    item = {"anyOf": [_one_of(choices), scalar]} if choices else scalar
    several = _listing(action, {**scalar, "type": [*scalar["type"], "null"]}, item)
    return {"anyOf": [_one_of(choices), several]} if choices else several


def _flag(action: argparse.Action, parser: argparse.ArgumentParser) -> Schema:
    values = (getattr(action, "const", None), default_of(action, parser))
    others = [one for one in values if one is not None and not isinstance(one, bool)]
    if not all(is_plain(one) for one in others):
        return {}
    flag = _expression_or("boolean", "null")
    return {"anyOf": [flag, _one_of(map(plain, others))]} if others else flag


def _flag_types(action: argparse.Action) -> list[str]:
    """Return the types besides those of its value: an option whose value is optional is also a flag."""
    return ["boolean"] if action.nargs == "?" else []


def _expression_or(*types: str) -> Schema:
    message = "neither a valid value nor an expression such as ${{ params.day }}"
    return {"type": [*types, "string"], "pattern": EXPRESSION_PATTERN, "patternErrorMessage": message}


def _scalar(action: argparse.Action, *, has_choices: bool) -> Schema:
    types = _flag_types(action)
    if action.type is int:
        types += [] if has_choices else ["integer"]
        return {"type": [*types, "string"], "pattern": _INTEGER_TEXT, "patternErrorMessage": "not an integer"}
    if action.type is float:
        pattern = {"pattern": _FLOAT_TEXT, "patternErrorMessage": "not a number"}
        return {"type": [*types, "number", "string"], **pattern}
    return {"type": [*types, "string", "number"]}


def _listing(action: argparse.Action, alone: Schema, item: Schema) -> Schema:
    """Return the schema of a value alone or a list of items."""
    takes_several = action.nargs in _SEVERAL or isinstance(action.nargs, int)
    found = {**alone, "type": [*alone["type"], "array"], "items": _or_list(item)}
    if isinstance(action, argparse_compat.StoreAction) and not takes_several:
        found |= {"minItems": 1, "maxItems": 1}
    return found


def _or_list(item: Schema) -> Schema:
    # Lists inside of lists are flattened, or give one value each.
    if "anyOf" in item:
        return {"anyOf": [*item["anyOf"], {"type": "array"}]}
    return {**item, "type": [*item["type"], "array"]}


def _one_of(values: Iterable[Any]) -> Schema:
    # JSON has no difference between 1 and 1.0, and a schema must not list a value twice.
    distinct = {(isinstance(value, bool), value): value for value in values}
    return {"enum": list(distinct.values())}


def _is_exact(choices: Any) -> bool:
    """Return whether nothing but the listed choices is among them: a class may compare in its own way."""
    # True equals 1 in Python, but not in JSON.
    return getattr(type(choices), "__contains__", None) in _CONTAINS and all(
        type(choice).__eq__ in _EQUALS and not isinstance(choice, bool) for choice in choices
    )


def _as_numbers(choices: Iterable[Any]) -> Iterator[Any]:
    """Yield choices that YAML reads as numbers if they are not quoted."""
    for choice in choices:
        number = resolve_plain(choice) if isinstance(choice, str) else None
        if isinstance(number, int | float) and not isinstance(number, bool) and is_plain(number):
            yield number
