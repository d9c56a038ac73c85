"""Evaluates ``for_each`` into the items of a loop, and gives each item a label."""

from __future__ import annotations

import datetime
import hashlib
import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from django_runbook.document.evaluation.budget import Budget
from django_runbook.document.evaluation.values import OperationError, kind_of, text_of
from django_runbook.document.expressions import ExpressionError
from django_runbook.document.inputs import resolve_value
from django_runbook.document.keys import MAX_ITEMS
from django_runbook.document.runbook import Located

_MAX_LABEL: Final = 60
# Longer than any secret, and longer than white space that becomes one space.
_MAX_TEXT: Final = 64 * 1024


def items_of(for_each: Located, context: Mapping[str, object]) -> tuple[object, ...]:
    """Return the items of a list, or the product of a mapping of lists, first list slowest; raise ExpressionError."""
    value = resolve_value(for_each, context)
    match value:
        case list() | tuple():
            items = tuple(value[: MAX_ITEMS + 1])
        case Mapping():
            for name, several in value.items():
                if not isinstance(several, list | tuple):
                    message = f'"for_each" needs a list for "{name}", not {kind_of(several)}'
                    raise ExpressionError(message, for_each.span)
            product = (dict(zip(value, chosen, strict=True)) for chosen in itertools.product(*value.values()))
            items = tuple(itertools.islice(product, MAX_ITEMS + 1)) if value else ()
        case _:
            message = f'"for_each" needs a list or a mapping of lists, not {kind_of(value)}'
            raise ExpressionError(message, for_each.span)
    if len(items) > MAX_ITEMS:
        raise ExpressionError(f'"for_each" has more than {MAX_ITEMS} items', for_each.span)
    try:
        # Each item is copied, and compared with that of an earlier run: bound its size.
        Budget().walk(items)
    except OperationError as error:
        raise ExpressionError(f'"for_each" has items that are too large: {error}', for_each.span) from error
    return items


def label_of(item: object, *, mask: Callable[[str], str]) -> str:
    """Return the label that distinguishes an item from the others of its loop: ``EWR, full``.

    Secrets are masked before the label is shortened, since part of a secret would not be recognized.
    """
    pieces = itertools.islice(_pieces_of_label(item), _MAX_LABEL)
    text = " ".join(mask("".join(pieces)).split())
    return text if len(text) <= _MAX_LABEL else text[: _MAX_LABEL - 1] + "…"


def _pieces_of_label(item: object) -> Iterator[str]:
    parts = item.values() if isinstance(item, Mapping) else item if isinstance(item, tuple | list) else (item,)
    for number, part in enumerate(parts):
        yield ", " if number else ""
        yield from _pieces(part)


def _pieces(value: object) -> Iterator[str]:
    """Yield a value in pieces: it may be very large, and a label needs only the first pieces."""
    match value:
        case Mapping():
            yield "{"
            for number, (name, one) in enumerate(value.items()):
                yield ", " if number else ""
                yield from _pieces(name)
                yield ": "
                yield from _pieces(one)
            yield "}"
        case list() | tuple():
            yield "["
            for number, one in enumerate(value):
                yield ", " if number else ""
                yield from _pieces(one)
            yield "]"
        case None:
            yield "null"
        case str():
            yield value[:_MAX_TEXT]
        case datetime.timedelta():
            yield str(value)
        case _:
            yield text_of(value)


def digest_of(item: object, *, mask: Callable[[str], str]) -> str:
    """Return a digest that identifies an item whatever its length and label, without the secrets in it."""
    text = json.dumps(_plain(item), ensure_ascii=False)
    return hashlib.sha256(mask(text).encode(errors="backslashreplace")).hexdigest()


def other_item(loop_id: str, number: int, *, before: str, now: str | None) -> str:
    """Return the message for a resumed loop whose item at a number has changed or is gone."""
    shown = "nothing" if now is None else f'"{now}"'
    return (
        f'the items of "{loop_id}" have changed: number {number} was "{before}" and is {shown} now; '
        "completed items cannot be matched: start a new run"
    )


def _plain(value: object) -> object:
    match value:
        case Mapping():
            # Sorted by their text, since keys of different types have no order.
            return {"of": sorted(([_plain(name), _plain(one)] for name, one in value.items()), key=str)}
        case list() | tuple():
            return [_plain(one) for one in value]
        case None | bool() | int() | float() | str():
            return value
    return str(value)
