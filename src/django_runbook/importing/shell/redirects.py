"""Reads redirections: files, here-documents and here-strings."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from django_runbook.importing.shell.nodes import Redirect
from django_runbook.importing.shell.parser import ShellTree
from django_runbook.importing.shell.word_reader import read_text, read_word
from django_runbook.importing.shell.words import Part, ShellWord, Text

if TYPE_CHECKING:
    import tree_sitter

_TABS: Final = re.compile(r"^\t+", re.MULTILINE)
_OWN: Final = {"heredoc_start", "heredoc_body", "heredoc_end", "file_descriptor"}


def read_redirect(tree: ShellTree, node: tree_sitter.Node) -> Redirect:
    """Return a redirection; the text of a here-document is read as well."""
    source = tree.source(node)
    if node.type == "heredoc_redirect":
        return _heredoc(tree, node)
    if node.type == "herestring_redirect":
        word = read_word(tree, node.children[-1])
        line_end = Text(value="\n", is_quoted=True)
        text = ShellWord(parts=(*word.parts, line_end), source=word.source, line=word.line)
        return Redirect(descriptor="0", operator="<<<", text=text, source=source)
    descriptor, target = node.child_by_field_name("descriptor"), node.child_by_field_name("destination")
    operator = next((child.type for child in node.children if not child.is_named), "")
    number = "0" if operator.startswith("<") else "1"
    if descriptor is not None:
        number = tree.source(descriptor)
    word_ = read_word(tree, target) if target is not None else None
    return Redirect(descriptor=number, operator=operator, target=word_, source=source)


def tail_of(node: tree_sitter.Node) -> list[tree_sitter.Node]:
    """Return what follows a here-document on its first line; the parser makes it a part of the redirection."""
    if node.type != "heredoc_redirect":
        return []
    return [child for child in node.children if child.is_named and child.type not in _OWN]


def _heredoc(tree: ShellTree, node: tree_sitter.Node) -> Redirect:
    """Read a here-document from its first line on; the parser leaves the indentation of that line out."""
    named = {child.type: child for child in node.children}
    start, end = named.get("heredoc_start"), named.get("heredoc_end")
    operator = node.children[0].type
    first = tree.source(start).strip() if start is not None else ""
    source = tree.source(node).partition("\n")[0]
    parts: tuple[Part, ...] = ()
    if start is not None and end is not None:
        begin = tree.raw.find(b"\n", start.end_byte) + 1
        # The word that ends it may be indented.
        finish = tree.raw.rfind(b"\n", 0, end.end_byte) + 1
        body = named.get("heredoc_body")
        inner = [child for child in body.children if child.is_named] if body is not None else []
        text = tree.text(begin, max(begin, finish))
        is_raw = first[:1] in {"'", '"', "\\"}
        parts = (Text(value=text, is_quoted=True),) if is_raw else read_text(tree, begin, max(begin, finish), *inner)
    if operator == "<<-":
        parts = _without_tabs(parts)
    text_ = ShellWord(parts=parts, source=source, line=tree.line(node))
    return Redirect(descriptor="0", operator=operator, text=text_, source=source)


def _without_tabs(parts: tuple[Part, ...]) -> tuple[Part, ...]:
    """Remove the tabs at the beginning of each line, but not those in the middle of a line after an expansion."""
    made: list[Part] = []
    is_line_start = True
    for part in parts:
        if isinstance(part, Text):
            value = part.value if is_line_start else "x" + part.value
            value = _TABS.sub("", value)
            value = value if is_line_start else value[1:]
            made.append(Text(value=value, is_quoted=True))
            is_line_start = part.value.endswith("\n")
        else:
            made.append(part)
            is_line_start = False
    return tuple(made)
