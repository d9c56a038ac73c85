"""Defines the nodes of a YAML file: scalars, sequences and mappings with their places."""

from __future__ import annotations

from typing import Protocol, TypeAlias

from django_runbook.document.diagnostics import Span
from django_runbook.structs import Struct


class SourceMark(Protocol):
    """Describes a place as libyaml reports it, counted from 0."""

    index: int
    line: int
    column: int


class Scalar(Struct, kw_only=False):
    """Holds a scalar; only a plain (unquoted) one can be anything but a string."""

    text: str
    is_plain: bool
    start: SourceMark
    end: SourceMark


class Sequence(Struct, kw_only=False):
    items: list[Node]
    start: SourceMark
    end: SourceMark


class Mapping(Struct, kw_only=False):
    entries: list[tuple[Scalar, Node]]
    start: SourceMark
    end: SourceMark


class MissingNode(Struct, kw_only=False):
    """Marks the place of unreadable text that was removed; a diagnostic reports it already."""

    start: SourceMark
    end: SourceMark


Node: TypeAlias = Scalar | Sequence | Mapping | MissingNode


def has_missing_part(node: Node) -> bool:
    """Return whether a part of the node was unreadable."""
    match node:
        case Sequence():
            return any(has_missing_part(item) for item in node.items)
        case Mapping():
            return any(has_missing_part(value) for _, value in node.entries)
    return isinstance(node, MissingNode)


def span_of(node: Node) -> Span:
    """Return the span of a node; a block of several lines is represented by its beginning."""
    start, end = node.start, node.end
    if start.line != end.line and isinstance(node, Mapping) and node.entries:
        end = node.entries[0][0].end
    elif start.line != end.line and isinstance(node, Sequence | MissingNode):
        return Span(start.line + 1, start.column + 1, start.line + 1, start.column + 2)
    return Span(start.line + 1, start.column + 1, end.line + 1, end.column + 1)
