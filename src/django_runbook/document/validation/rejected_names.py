"""Finds the names whose declaration is reported as an error, so that their uses are not reported too."""

from __future__ import annotations

import re
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from typing import Final

from django_runbook.document.syntax.nodes import Mapping, Node, Scalar, Sequence

_WORD: Final = re.compile(r"\w+")


def rejected_names(node: Node, declared: AbstractSet[str]) -> frozenset[str]:
    """Return the names that the value of ``params``, ``vars``, ``env`` or ``secrets`` has, but does not declare.

    An entry that declares a name has no others: its default is not a name.
    """
    return frozenset(name for entry in _entries(node) if declared.isdisjoint(entry) for name in entry) - {*declared}


def _entries(node: Node) -> Iterator[frozenset[str]]:
    """Yield the possible names of each entry of a declaration."""
    match node:
        case Scalar():
            # A list without brackets.
            yield from map(_names, re.split(r"[\s,]+", node.text))
        case Sequence():
            yield from (frozenset(_names_in(item)) for item in node.items)
        case Mapping():
            yield from (_names(key.text) for key, _ in node.entries)


def _names_in(node: Node) -> Iterator[str]:
    match node:
        case Scalar():
            yield from _names(node.text)
        case Mapping():
            for key, value in node.entries:
                yield from _names(key.text)
                yield from _names(value.text) if isinstance(value, Scalar) else ()


def _names(text: str) -> frozenset[str]:
    return frozenset((*_WORD.findall(text), text.replace("-", "_")))
