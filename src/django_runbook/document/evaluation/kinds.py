"""Infers the kind of value of an expression from its tree."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from jinja2 import nodes

from django_runbook.document.evaluation.grammar import tree_of

_BOOLEAN_NODES: Final = (nodes.Compare, nodes.Not, nodes.Test)
_KIND_OF_NODE: Final[Mapping[type[nodes.Node], str]] = {
    nodes.Concat: "a string",
    nodes.List: "a list",
    nodes.Tuple: "a list",
    nodes.Dict: "a mapping",
    nodes.Neg: "a number",
    nodes.Pos: "a number",
    nodes.Sub: "not a boolean",
    nodes.Mul: "not a boolean",
    nodes.Div: "a number",
    nodes.FloorDiv: "a number",
    nodes.Mod: "a number",
    nodes.Pow: "a number",
    nodes.Add: "not a boolean",
}
_KIND_OF_FILTER: Final = {
    **dict.fromkeys(("count", "length", "int", "float", "abs", "round", "sum"), "a number"),
    **dict.fromkeys(
        ("lower", "upper", "title", "trim", "string", "join", "replace", "tojson", "capitalize"), "a string"
    ),
    **dict.fromkeys(("list", "sort", "unique", "map", "select", "reject", "selectattr", "rejectattr"), "a list"),
    **dict.fromkeys(("dictsort", "items"), "a list"),
}
_KIND_OF_FUNCTION: Final = {
    **dict.fromkeys(("days", "weeks", "hours", "minutes"), "a duration"),
    **dict.fromkeys(("add_months", "month_start", "month_end"), "a date"),
}


def kind_other_than_boolean(source: str, kind_of: Callable[[str, str], str | None]) -> str | None:
    """Return the kind of a condition that cannot be a boolean; None if it may be one.

    ``kind_of`` returns the kind of a name such as ``params``, ``day``, or None if it is unknown.
    """
    kind = _kind(tree_of(source), kind_of)
    return None if kind in {"boolean", "unknown"} else kind


def certain_kind(source: str, kind_of: Callable[[str, str], str | None]) -> str | None:
    """Return the kind that every value of an expression has; None if it is not known."""
    kinds = {_kind(node, kind_of) for node in _results(tree_of(source))}
    kind = kinds.pop() if len(kinds) == 1 else "unknown"
    return None if kind == "unknown" else kind


def _results(node: nodes.Node) -> Iterator[nodes.Node]:
    """Yield the parts of an expression that can be its value."""
    match node:
        case nodes.And() | nodes.Or():
            yield from _results(node.left)
            yield from _results(node.right)
        case nodes.CondExpr():
            for branch in (node.expr1, node.expr2):
                if branch is not None:
                    yield from _results(branch)
        case _:
            yield node


def _kind(node: nodes.Node, kind_of: Callable[[str, str], str | None]) -> str:
    match node:
        case nodes.Const(value=value):
            return _kind_of_value(value)
        case nodes.And() | nodes.Or():
            return _other_than_boolean(_kind(node.left, kind_of), _kind(node.right, kind_of))
        case nodes.CondExpr():
            branches = [branch for branch in (node.expr1, node.expr2) if branch is not None]
            return _other_than_boolean(*(_kind(branch, kind_of) for branch in branches))
        case nodes.Getattr(node=nodes.Name(name=root), attr=name):
            return kind_of(root, name) or "unknown"
        case nodes.Name(name=root):
            return kind_of(root, "") or "unknown"
        case nodes.Filter(name=name):
            return _KIND_OF_FILTER.get(name, "unknown")
        case nodes.Call(node=nodes.Name(name=name)):
            return _KIND_OF_FUNCTION.get(name, "unknown")
        case _ if isinstance(node, _BOOLEAN_NODES):
            return "boolean"
    return _KIND_OF_NODE.get(type(node), "unknown")


def _other_than_boolean(*kinds: str) -> str:
    return next((kind for kind in kinds if kind not in {"boolean", "unknown"}), "unknown")


def _kind_of_value(value: object) -> str:
    match value:
        case bool():
            return "boolean"
        case None:
            return "null"
        case int() | float():
            return "a number"
    return "a string"
