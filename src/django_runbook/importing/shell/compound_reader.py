"""Reads the statements that hold other statements, and conditions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from django_runbook.importing.shell import nodes
from django_runbook.importing.shell.nodes import IfBranch, Node
from django_runbook.importing.shell.reading import TreeReading
from django_runbook.importing.shell.redirects import read_redirect, tail_of
from django_runbook.importing.shell.word_reader import read_word, read_words
from django_runbook.importing.shell.words import ShellWord
from django_runbook.structs import replace

if TYPE_CHECKING:
    import tree_sitter

_EXPRESSIONS: Final = {"binary_expression", "unary_expression", "parenthesized_expression", "ternary_expression"}


def read_list(reading: TreeReading, node: tree_sitter.Node) -> Node:
    """Read ``left && right`` or ``left || right``."""
    left, operator, right = node.children[0], node.children[1], node.children[-1]
    return nodes.AndOr(
        operator=operator.type,
        left=reading.statement(left),
        right=reading.statement(right),
        **reading.place(node),
    )


def read_pipeline(reading: TreeReading, node: tree_sitter.Node) -> Node:
    """Read commands that are joined by pipes."""
    commands = tuple(reading.statement(child) for child in node.children if child.is_named)
    return nodes.Pipeline(commands=commands, **reading.place(node))


def read_negation(reading: TreeReading, node: tree_sitter.Node) -> Node:
    """Read ``! command``."""
    return nodes.Negation(command=reading.statement(node.children[-1]), **reading.place(node))


def read_subshell(reading: TreeReading, node: tree_sitter.Node) -> Node:
    """Read ``( … )``."""
    return nodes.Compound(statements=reading.statements(node.children), is_subshell=True, **reading.place(node))


def read_braces(reading: TreeReading, node: tree_sitter.Node) -> Node:
    """Read ``{ … }``; the parser gives ``(( … ))`` the same name."""
    if node.children[0].type != "{":
        return reading.foreign(node, "the shell computes it")
    return nodes.Compound(statements=reading.statements(node.children), is_subshell=False, **reading.place(node))


def read_redirected(reading: TreeReading, node: tree_sitter.Node) -> Node:
    """Read a statement with redirections, which become a part of it."""
    body = node.child_by_field_name("body")
    found = [child for child in node.children if child.type.endswith("_redirect")]
    redirects = tuple(read_redirect(reading.tree, child) for child in found)
    place = reading.place(node)
    if body is None:
        return reading.foreign(node, "it only opens or empties a file")
    made = reading.statement(body)
    if isinstance(made, nodes.Simple | nodes.Compound):
        made = replace(made, redirects=(*made.redirects, *redirects), **place)
    elif isinstance(made, nodes.Foreign | nodes.Assignments | nodes.Function):
        return reading.foreign(node, getattr(made, "reason", "its output is redirected"))
    else:
        made = nodes.Compound(statements=(made,), is_subshell=False, redirects=redirects, **place)
    tails = [one for child in found for one in tail_of(child)]
    if not tails:
        return made
    if len(tails) == 1 and tails[0].type == "pipeline":
        commands = tuple(reading.statement(child) for child in tails[0].children if child.is_named)
        return nodes.Pipeline(commands=(made, *commands), **place)
    return reading.foreign(node, "more follows a here-document on its first line")


def read_if(reading: TreeReading, node: tree_sitter.Node) -> Node:
    """Read ``if``."""
    branches = [_branch(reading, node)]
    otherwise: tuple[Node, ...] = ()
    for child in node.children:
        if child.type == "elif_clause":
            branches.append(_branch(reading, child))
        elif child.type == "else_clause":
            otherwise = reading.statements(child.children[1:])
    return nodes.If(branches=tuple(branches), otherwise=otherwise, **reading.place(node))


def _branch(reading: TreeReading, node: tree_sitter.Node) -> IfBranch:
    then = next(index for index, child in enumerate(node.children) if child.type == "then")
    inside = [child for child in node.children[then + 1 :] if child.type not in {"elif_clause", "else_clause", "fi"}]
    return IfBranch(condition=reading.statements(node.children[1:then]), statements=reading.statements(inside))


def read_for(reading: TreeReading, node: tree_sitter.Node) -> Node:
    """Read a loop over words."""
    variable, body = node.child_by_field_name("variable"), node.child_by_field_name("body")
    if node.children[0].type != "for" or variable is None or body is None:
        return reading.foreign(node, "a menu has no counterpart: use a parameter")
    if not any(child.type == "in" for child in node.children):
        return reading.foreign(node, "a loop over all arguments has no counterpart: use a parameter of type list")
    values = read_words(reading.tree, node.children_by_field_name("value"))
    return nodes.For(
        variable=reading.tree.source(variable),
        values=values,
        statements=_body(reading, body),
        **reading.place(node),
    )


def read_while(reading: TreeReading, node: tree_sitter.Node) -> Node:
    """Read ``while`` or ``until``."""
    body = node.child_by_field_name("body")
    if body is None:
        return reading.foreign(node, "the loop has no body")
    return nodes.While(
        condition=reading.statements([child for child in node.children[1:] if child != body]),
        statements=_body(reading, body),
        is_until=node.children[0].type == "until",
        **reading.place(node),
    )


def _body(reading: TreeReading, node: tree_sitter.Node) -> tuple[Node, ...]:
    return reading.statements([child for child in node.children if child.type not in {"do", "done", "{", "}"}])


def read_function(reading: TreeReading, node: tree_sitter.Node) -> Node:
    """Read the definition of a function."""
    name, body = node.child_by_field_name("name"), node.child_by_field_name("body")
    if name is None or body is None:
        return reading.foreign(node, "the function has no body")
    inside = reading.statement(body)
    if isinstance(inside, nodes.Foreign):
        return reading.foreign(node, inside.reason)
    return nodes.Function(name=reading.tree.source(name), statements=(inside,), **reading.place(node))


def read_condition(reading: TreeReading, node: tree_sitter.Node) -> Node:
    """Read ``[ … ]`` or ``[[ … ]]`` as its words: the parser's precedence is not that of a shell."""
    tokens = tuple(_tokens(reading, node.children[1:-1]))
    return nodes.Condition(tokens=tokens, **reading.place(node))


def _tokens(reading: TreeReading, children: list[tree_sitter.Node]) -> Iterator[ShellWord | str]:
    for child in children:
        if child.type in _EXPRESSIONS:
            yield from _tokens(reading, child.children)
        elif child.is_named and child.type != "test_operator":
            yield read_word(reading.tree, child)
        else:
            yield reading.tree.source(child)
