"""Parses files of Python once for the tests of a module that read their syntax."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path


@cache
def tree_of(path: Path) -> ast.Module:
    """Return the syntax tree of a file."""
    return ast.parse(path.read_text())


@cache
def nodes_of(path: Path) -> tuple[ast.AST, ...]:
    """Return every node of a file."""
    return tuple(ast.walk(tree_of(path)))


def forget_trees() -> None:
    """Free the memory of the trees, a hundred megabytes and more."""
    tree_of.cache_clear()
    nodes_of.cache_clear()
