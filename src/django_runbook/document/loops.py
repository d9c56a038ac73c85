"""The value of ``for_each`` to the items that a step is run for."""

from __future__ import annotations

import datetime
import hashlib
import itertools
import json
from collections.abc import Callable, Mapping
from typing import Final

from django_runbook.document.expressions import ExpressionError
from django_runbook.document.inputs import resolve_value
from django_runbook.document.keys import MAX_ITEMS
from django_runbook.document.runbook import Located

_MAX_LABEL: Final = 60


def items_of(for_each: Located, context: Mapping[str, object]) -> tuple[object, ...]:
    """The items, of a mapping of lists the product, first list slowest; raises ExpressionError."""
    value = resolve_value(for_each, context)
    match value:
        case list() | tuple():
            items = tuple(value[: MAX_ITEMS + 1])
        case Mapping():
            for name, several in value.items():
                if not isinstance(several, list | tuple):
                    raise ExpressionError(f'"for_each" needs a list for "{name}", not {_kind(several)}', for_each.span)
            product = (dict(zip(value, chosen, strict=True)) for chosen in itertools.product(*value.values()))
            items = tuple(itertools.islice(product, MAX_ITEMS + 1)) if value else ()
        case _:
            message = f'"for_each" needs a list or a mapping of lists, not {_kind(value)}'
            raise ExpressionError(message, for_each.span)
    if len(items) > MAX_ITEMS:
        raise ExpressionError(f'"for_each" has more than {MAX_ITEMS} items', for_each.span)
    return items


def label_of(item: object) -> str:
    """How an item is called where a step's own name does not tell it from the others: ``EWR, full``."""
    parts = item.values() if isinstance(item, Mapping) else item if isinstance(item, tuple | list) else (item,)
    text = ", ".join(map(_text, parts))
    return text if len(text) <= _MAX_LABEL else text[: _MAX_LABEL - 1] + "…"


def digest_of(item: object, *, mask: Callable[[str], str]) -> str:
    """What tells an item from others, however long it is and whatever it is called, without the secrets in it."""
    text = json.dumps(_plain(item), ensure_ascii=False)
    return hashlib.sha256(mask(text).encode(errors="backslashreplace")).hexdigest()


def other_item(loop_id: str, number: int, *, before: str, now: str | None) -> str:
    """What to say where a loop that is done in part has another item than before, or none, at a number."""
    shown = "nothing" if now is None else f'"{now}"'
    return (
        f'the items of "{loop_id}" have changed: number {number} was "{before}" and is {shown} now; '
        "what is done of the loop cannot be told: run the runbook anew"
    )


def _plain(value: object) -> object:
    match value:
        case Mapping():
            # In whatever order: keys need not be text.
            return {"of": sorted(([_plain(name), _plain(one)] for name, one in value.items()), key=str)}
        case list() | tuple():
            return [_plain(one) for one in value]
        case None | bool() | int() | float() | str():
            return value
    return str(value)


def _text(value: object) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case datetime.date():
            return value.isoformat()
    return " ".join(str(value).split())


def _kind(value: object) -> str:
    match value:
        case None:
            return "nothing (null)"
        case str():
            return "text"
        case bool() | int() | float():
            return f"{_text(value)}"
        case Mapping():
            return "a mapping"
    return type(value).__name__
