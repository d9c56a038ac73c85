"""Describes the values of an option as a JSON Schema, from its argparse action.

The schema accepts every value that the check accepts: a value is refused only if no text of it could be right.
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, Final

from django_runbook import argparse_compat
from django_runbook.binding.accepted import names_database
from django_runbook.binding.flags import MAX_COUNT
from django_runbook.document.scalars import resolve_plain
from django_runbook.editor.help_texts import is_plain, plain
from django_runbook.editor.value_schemas import EXPRESSION_PATTERN, Schema, reference

_MAX_CHOICES: Final = 200
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


def option_value(actions: Sequence[argparse.Action], databases: Collection[str]) -> Schema:
    """Return the schema of what any of several options with a common name accepts."""
    schemas = [_value(action, databases) for action in actions]
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
        name: _value(parser.add_argument(f"--{number}", **declaration), ())
        for number, (name, declaration) in enumerate(_FREQUENT.items())
    }


def _value(action: argparse.Action, databases: Collection[str]) -> Schema:
    # One schema for several types where possible: an editor shows each alternative of an "anyOf".
    if isinstance(action, argparse.BooleanOptionalAction):
        return _expression_or("boolean", "null")
    if isinstance(action, argparse_compat.CountAction):
        return {**_expression_or("boolean", "integer", "null"), "minimum": 0, "maximum": MAX_COUNT}
    if action.nargs == 0:
        return _flag(action)
    choices, is_complete = _choices_of(action, databases)
    if choices and is_complete:
        # An expression may return a list.
        return {"anyOf": [_one_of(choices), _listing(action, _expression_or("null"), _one_of_or_expression(choices))]}
    scalar = _scalar(action, has_choices=bool(choices))
    item = {"anyOf": [_one_of(choices), scalar]} if choices else scalar
    several = _listing(action, {**scalar, "type": [*scalar["type"], "null"]}, item)
    return {"anyOf": [_one_of(choices), several]} if choices else several


def _flag(action: argparse.Action) -> Schema:
    others = [one for one in (getattr(action, "const", None), action.default) if not isinstance(one, bool)]
    if not all(is_plain(one) for one in others):
        return {}
    named = [plain(one) for one in others if one is not None and one != argparse.SUPPRESS]
    flag = _expression_or("boolean", "null")
    return {"anyOf": [flag, _one_of(named)]} if named else flag


def _expression_or(*types: str) -> Schema:
    message = "neither a valid value nor an expression such as ${{ params.day }}"
    return {"type": [*types, "string"], "pattern": EXPRESSION_PATTERN, "patternErrorMessage": message}


def _scalar(action: argparse.Action, *, has_choices: bool) -> Schema:
    types = ["boolean"] if action.nargs == "?" else []
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


def _one_of_or_expression(choices: list[Any]) -> Schema:
    return {"anyOf": [_one_of(choices), reference("expression")]}


def _one_of(values: Iterable[Any]) -> Schema:
    # JSON has no difference between 1 and 1.0, and a schema must not list a value twice.
    distinct = {(isinstance(value, bool), value): value for value in values}
    return {"enum": list(distinct.values())}


def _choices_of(action: argparse.Action, databases: Collection[str]) -> tuple[list[Any], bool]:
    """Return the choices that JSON has, and whether no other text can be valid; empty if there are too many."""
    choices = action.choices
    if choices is None and databases and names_database(action, databases):
        return list(databases), True
    # A generator could be read only once, and argparse needs it.
    if not isinstance(choices, Collection) or isinstance(choices, str):
        return [], False
    listed = list(itertools.islice(choices, _MAX_CHOICES + 1))
    if len(listed) > _MAX_CHOICES or not all(is_plain(one) and one is not None for one in listed):
        return [], False
    found = [plain(one) for one in listed]
    if isinstance(choices, set | frozenset):
        found.sort(key=str)
    # A function may convert more texts than those that it lists.
    is_complete = action.type in (None, str) and action.nargs != "?"
    return ([*found, *_as_numbers(found)], True) if is_complete else (found, False)


def _as_numbers(choices: Iterable[Any]) -> Iterator[Any]:
    """Yield choices that YAML reads as numbers if they are not quoted."""
    for choice in choices:
        number = resolve_plain(choice) if isinstance(choice, str) else None
        if isinstance(number, int | float) and not isinstance(number, bool) and is_plain(number):
            yield number
