"""Holds what the readers of statements share: the tree, and how the statements inside a statement are read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypedDict

from django_runbook.importing.shell.nodes import Foreign, Node
from django_runbook.importing.shell.parser import ShellTree
from django_runbook.structs import Struct

if TYPE_CHECKING:
    import tree_sitter


class NodePlace(TypedDict):
    """Names the fields of every statement."""

    line: int
    source: str


class TreeReading(Struct):
    """Reads the statements of one tree; ``statement`` and ``statements`` read those inside another one."""

    tree: ShellTree
    statement: Callable[[tree_sitter.Node], Node]
    statements: Callable[[Sequence[tree_sitter.Node]], tuple[Node, ...]]

    def place(self, node: tree_sitter.Node) -> NodePlace:
        """Return the line and the source of a node."""
        return {"line": self.tree.line(node), "source": self.tree.source(node).rstrip("\n")}

    def foreign(self, node: tree_sitter.Node, reason: str) -> Foreign:
        """Return a node as what cannot be carried over."""
        return Foreign(reason=reason, **self.place(node))
