"""Reads commands and assignments."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from django_runbook.importing.shell import nodes
from django_runbook.importing.shell.nodes import Assignment, Node
from django_runbook.importing.shell.reading import TreeReading
from django_runbook.importing.shell.redirects import read_redirect
from django_runbook.importing.shell.word_reader import read_word, read_words
from django_runbook.importing.shell.words import ShellWord

if TYPE_CHECKING:
    import tree_sitter

_ESCAPE: Final = re.compile(r"\\(?!\n)\s")


def read_command(reading: TreeReading, node: tree_sitter.Node) -> Node:
    """Read a command with its arguments, or ``test``, which is a condition."""
    assignments, redirects = [], []
    words: list[tree_sitter.Node] = []
    for child in node.children:
        if child.type == "variable_assignment":
            assignments.append(_assignment(reading, child))
        elif child.type.endswith("_redirect"):
            redirects.append(read_redirect(reading.tree, child))
        else:
            words.append(child)
    if _has_unread_text(reading, node):
        return reading.foreign(node, "a part of it is not read as the shell does: quote its spaces")
    found = read_words(reading.tree, words)
    made = nodes.Simple(words=found, assignments=tuple(assignments), redirects=tuple(redirects), **reading.place(node))
    if made.program == "test" and not redirects:
        return nodes.Condition(tokens=found[1:], **reading.place(node))
    return made


def _has_unread_text(reading: TreeReading, node: tree_sitter.Node) -> bool:
    """Return whether the parser skips more than spaces: it does so for an escaped space after a quoted string."""
    ends = [child.end_byte for child in node.children]
    starts = [*(child.start_byte for child in node.children[1:]), ends[-1] if ends else node.end_byte]
    gaps = [reading.tree.text(end, start) for end, start in zip(ends, starts, strict=True)]
    gaps.append(reading.tree.text(node.end_byte, node.end_byte + 2).rstrip("\n"))
    return any(_ESCAPE.search(gap) for gap in gaps)


def read_assignments(reading: TreeReading, node: tree_sitter.Node) -> Node:
    """Read a statement that sets variables, also ``export``, ``local`` and ``readonly``."""
    children = [node] if node.type == "variable_assignment" else node.children
    made = tuple(_assignment(reading, child) for child in children if child.type == "variable_assignment")
    bare = [reading.tree.source(child) for child in children if child.type == "variable_name"]
    is_export = children[0].type == "export"
    exported = (*bare, *(one.name for one in made)) if is_export else ()
    return nodes.Assignments(assignments=made, exported=exported, **reading.place(node))


def _assignment(reading: TreeReading, node: tree_sitter.Node) -> Assignment:
    name, value = node.child_by_field_name("name"), node.child_by_field_name("value")
    source, line = reading.tree.source(node), reading.tree.line(node)
    if name is None or name.type != "variable_name" or source[len(reading.tree.source(name)) :].startswith("+="):
        return Assignment(name=source.partition("=")[0].rstrip("+"), value=None, line=line, source=source)
    word: ShellWord | None = ShellWord(parts=(), source="", line=line)
    if value is not None:
        word = None if value.type == "array" else read_word(reading.tree, value)
    return Assignment(name=reading.tree.source(name), value=word, line=line, source=source)
