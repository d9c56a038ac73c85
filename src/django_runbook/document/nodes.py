"""Defines the nodes of a file before anything gives them a meaning: scalars, sequences and mappings with places."""

from __future__ import annotations

from typing import NamedTuple, Protocol, TypeAlias

from django_runbook.document.diagnostics import Span


class SourceMark(Protocol):
    """A place as libyaml tells it, counted from 0."""

    index: int
    line: int
    column: int


# Named tuples: a file of 1,000 steps has 25,000 nodes, and a frozen dataclass costs three times as much.
class Scalar(NamedTuple):
    """``is_plain`` tells an unquoted scalar, the only kind that can be anything but text."""

    text: str
    is_plain: bool
    start: SourceMark
    end: SourceMark


class Sequence(NamedTuple):
    items: list[Node]
    start: SourceMark
    end: SourceMark


class Mapping(NamedTuple):
    entries: list[tuple[Scalar, Node]]
    start: SourceMark
    end: SourceMark


class Missing(NamedTuple):
    """Where text was left out because it could not be read; a diagnostic says so already."""

    start: SourceMark
    end: SourceMark


Node: TypeAlias = Scalar | Sequence | Mapping | Missing


def has_missing_part(node: Node) -> bool:
    """Tell whether a part of the node could not be read."""
    match node:
        case Sequence():
            return any(has_missing_part(item) for item in node.items)
        case Mapping():
            return any(has_missing_part(value) for _, value in node.entries)
    return isinstance(node, Missing)


def span_of(node: Node) -> Span:
    """The stretch that a node covers; of a block that goes over lines, what it begins with."""
    start, end = node.start, node.end
    if start.line != end.line and isinstance(node, Mapping) and node.entries:
        end = node.entries[0][0].end
    elif start.line != end.line and isinstance(node, Sequence | Missing):
        return Span(start.line + 1, start.column + 1, start.line + 1, start.column + 2)
    return Span(start.line + 1, start.column + 1, end.line + 1, end.column + 1)
