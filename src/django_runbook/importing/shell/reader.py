"""Reads shell code as statements."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from django_runbook.importing.shell import compound_reader, nodes, simple_reader
from django_runbook.importing.shell.nodes import Node
from django_runbook.importing.shell.parser import ShellTree, parse
from django_runbook.importing.shell.reading import TreeReading

if TYPE_CHECKING:
    import tree_sitter

_FOREIGN: Final = {
    "case_statement": '"case" has no counterpart: write a step with "when" for each branch',
    "c_style_for_statement": "a loop that counts has no counterpart: list the values in for_each",
    "unset_command": "a runbook does not remove variables",
}
_READERS: Final[Mapping[str, Callable[[TreeReading, tree_sitter.Node], Node]]] = {
    "command": simple_reader.read_command,
    "variable_assignment": simple_reader.read_assignments,
    "variable_assignments": simple_reader.read_assignments,
    "declaration_command": simple_reader.read_assignments,
    "list": compound_reader.read_list,
    "pipeline": compound_reader.read_pipeline,
    "negated_command": compound_reader.read_negation,
    "subshell": compound_reader.read_subshell,
    "compound_statement": compound_reader.read_braces,
    "redirected_statement": compound_reader.read_redirected,
    "if_statement": compound_reader.read_if,
    "for_statement": compound_reader.read_for,
    "while_statement": compound_reader.read_while,
    "function_definition": compound_reader.read_function,
    "test_command": compound_reader.read_condition,
}
_MAX_DEPTH: Final = 60


def read_statements(text: str, *, first_line: int = 1) -> tuple[Node, ...]:
    """Return the statements of shell code; what cannot be read is a Foreign. Raise MissingExtra."""
    tree = parse(text, first_line=first_line)
    return _StatementReader(tree).statements(tree.root.children)


class _StatementReader:
    def __init__(self, tree: ShellTree) -> None:
        self._reading = TreeReading(tree=tree, statement=self.statement, statements=self.statements)
        self._depth = 0

    def statements(self, children: Sequence[tree_sitter.Node]) -> tuple[Node, ...]:
        found: list[Node] = []
        for child in children:
            if child.type == "&" and found:
                command = found.pop()
                found.append(nodes.Background(command=command, line=command.line, source=f"{command.source} &"))
            elif child.is_named or child.is_error:
                found.append(self.statement(child))
        return tuple(found)

    def statement(self, node: tree_sitter.Node) -> Node:
        if node.type == "comment":
            text = self._reading.tree.source(node).removeprefix("#").strip()
            return nodes.Remark(text=text, **self._reading.place(node))
        if node.has_error or node.is_missing:
            return self._unreadable(node)
        if self._depth >= _MAX_DEPTH:
            return self._reading.foreign(node, "it is nested too deeply")
        read = _READERS.get(node.type)
        if read is None:
            reason = _FOREIGN.get(node.type, f'"{node.type.replace("_", " ")}" has no counterpart in a runbook')
            return self._reading.foreign(node, reason)
        self._depth += 1
        made = read(self._reading, node)
        self._depth -= 1
        return made

    def _unreadable(self, node: tree_sitter.Node) -> Node:
        place = _first_error(node)
        line, column = self._reading.tree.line(place), place.start_point.column + 1
        return self._reading.foreign(node, f"it cannot be read as shell: see line {line}, column {column}")


def _first_error(node: tree_sitter.Node) -> tree_sitter.Node:
    while not (node.is_error or node.is_missing):
        inside = next((child for child in node.children if child.has_error or child.is_missing), None)
        if inside is None:
            return node
        node = inside
    return node
