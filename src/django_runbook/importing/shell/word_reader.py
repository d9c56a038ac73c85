"""Reads the words of the tree: quotes are resolved here, and expansions are kept as they are."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from django_runbook.importing.shell.parser import ShellTree
from django_runbook.importing.shell.words import Opaque, Part, ShellWord, Substitution, Text, Variable

if TYPE_CHECKING:
    import tree_sitter

_DEFAULTS: Final = {":-", "-", ":=", "=", ":?", "?"}
_ESCAPE: Final = re.compile(r"\\(.|\n)", re.DOTALL)
_IN_QUOTES: Final = re.compile(r"\\([\\\"$`]|\n)")
_ANSI: Final = re.compile(r"\\(?:x([0-9a-fA-F]{1,2})|u([0-9a-fA-F]{1,4})|([0-7]{1,3})|(.))", re.DOTALL)
_ANSI_LETTERS: Final = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "e": "\x1b", "E": "\x1b", "f": "\f"}
_LITERALS: Final = {"word", "number", "variable_name", "test_operator", "extglob_pattern", "regex", "file_descriptor"}
# What the shell expands inside quotes. The parser overlooks some of it in a here-document.
_OVERLOOKED: Final = re.compile(r"(?<!\\)(?:\\\\)*(?:`|\$[A-Za-z_({0-9@*#?!])")
_GLOB: Final = re.compile(r"[*?]|\[[^]]*\]")
_BRACES: Final = re.compile(r"\{[^{}]*(?:,|\.\.)[^{}]*\}")


def read_words(tree: ShellTree, nodes: Sequence[tree_sitter.Node]) -> tuple[ShellWord, ...]:
    """Return the words of some nodes; the parser makes several nodes of some words, with nothing between them."""
    groups: list[list[tree_sitter.Node]] = []
    for node in nodes:
        if groups and groups[-1][-1].end_byte == node.start_byte:
            groups[-1].append(node)
        else:
            groups.append([node])
    return tuple(read_word(tree, *group) for group in groups)


def read_word(tree: ShellTree, *nodes: tree_sitter.Node) -> ShellWord:
    """Return the word that these neighbouring nodes make."""
    parts = tuple(part for node in nodes for part in _parts(tree, node, is_quoted=False))
    source = tree.text(nodes[0].start_byte, nodes[-1].end_byte)
    return ShellWord(parts=_with_expansions(parts, source), source=source, line=tree.line(nodes[0]))


def read_text(tree: ShellTree, start: int, end: int, *nodes: tree_sitter.Node) -> tuple[Part, ...]:
    """Return the parts of a text in which only ``$`` and backticks are expanded, as in a here-document."""
    return tuple(_between(tree, start, end, nodes))


def _with_expansions(parts: tuple[Part, ...], source: str) -> tuple[Part, ...]:
    bare = "".join(part.value for part in parts if isinstance(part, Text) and not part.is_quoted)
    unread = "".join(part.value if isinstance(part, Text) and not part.is_quoted else "\0" for part in parts)
    if _OVERLOOKED.search(unread):
        return (Opaque(source=source, reason=f"the shell expands a part of {source}: put quotes around it"),)
    first = parts[0] if parts else None
    if isinstance(first, Text) and not first.is_quoted and first.value.startswith("~"):
        return (Opaque(source=source, reason=f"the shell expands the home folder in {source}"),)
    if _BRACES.search("".join(part.value if isinstance(part, Text) else "x" for part in parts)) and _BRACES.search(
        source
    ):
        return (Opaque(source=source, reason=f"the shell expands the braces in {source}"),)
    if _GLOB.search(bare):
        return (Opaque(source=source, reason=f"the shell expands the pattern {source} to names of files"),)
    return parts


def _parts(tree: ShellTree, node: tree_sitter.Node, *, is_quoted: bool) -> list[Part]:
    source = tree.source(node)
    match node.type:
        case kind if kind in _LITERALS:
            return _unescaped(source)
        case "raw_string":
            return [Text(value=source[1:-1], is_quoted=True)]
        case "ansi_c_string":
            return [Text(value=_ANSI.sub(_ansi, source[2:-1]), is_quoted=True)]
        case "string" | "translated_string":
            inner = [child for child in node.children if child.is_named]
            start = node.start_byte + source.index('"') + 1
            return [*_between(tree, start, node.end_byte - 1, inner), Text(value="", is_quoted=True)]
        case "concatenation":
            return [part for child in node.children for part in _parts(tree, child, is_quoted=is_quoted)]
        case "command_name":
            return [part for child in node.children for part in _parts(tree, child, is_quoted=is_quoted)]
        case "simple_expansion":
            return [Variable(name=source[1:], is_quoted=is_quoted)]
        case "expansion":
            return [_expansion(tree, node, is_quoted=is_quoted)]
        case "command_substitution":
            return [_substitution(tree, node, is_quoted=is_quoted)]
        case "arithmetic_expansion":
            return [Opaque(source=source, reason=f"the shell computes {source}")]
        case "process_substitution":
            return [Opaque(source=source, reason=f"{source} is a pipe of the shell")]
        case "brace_expression":
            return [Opaque(source=source, reason=f"the shell expands {source}")]
    return [Text(value=source)] if not node.children else [Opaque(source=source, reason=f"{source} is not understood")]


def _unescaped(source: str) -> list[Part]:
    parts: list[Part] = []
    position = 0
    for found in _ESCAPE.finditer(source):
        if found.start() > position:
            parts.append(Text(value=source[position : found.start()]))
        if found[1] != "\n":
            parts.append(Text(value=found[1], is_quoted=True))
        position = found.end()
    return [*parts, Text(value=source[position:])] if position < len(source) or not parts else parts


def _between(
    tree: ShellTree, start: int, end: int, nodes: list[tree_sitter.Node] | tuple[tree_sitter.Node, ...]
) -> list[Part]:
    """Read quoted text: what is between the nodes is text, too; the parser skips some of it."""
    parts: list[Part] = []
    position = start
    for node in nodes:
        if node.type in {"string_content", "heredoc_content"}:
            continue
        parts += _quoted(tree.text(position, node.start_byte))
        parts += _parts(tree, node, is_quoted=True)
        position = node.end_byte
    return [*parts, *_quoted(tree.text(position, end))]


def _quoted(text: str) -> list[Part]:
    if _OVERLOOKED.search(text):
        return [Opaque(source=text, reason=f"the shell expands a part of {text.strip()}")]
    value = _IN_QUOTES.sub(lambda found: "" if found[1] == "\n" else found[1], text)
    return [Text(value=value, is_quoted=True)] if value else []


def _ansi(found: re.Match[str]) -> str:
    code, unicode_code, octal, letter = found.groups()
    if letter is not None:
        return _ANSI_LETTERS.get(letter, letter)
    return chr(int(octal, 8)) if octal else chr(int(code or unicode_code, 16))


def _expansion(tree: ShellTree, node: tree_sitter.Node, *, is_quoted: bool) -> Part:
    source = tree.source(node)
    unknown = Opaque(source=source, reason=f"the shell computes {source}")
    children = node.children[1:-1]
    if not children or children[0].type not in {"variable_name", "special_variable_name"}:
        return unknown
    name, rest = tree.source(children[0]), children[1:]
    if not rest:
        return Variable(name=name, is_quoted=is_quoted)
    operator = tree.source(rest[0])
    if operator not in _DEFAULTS:
        return unknown
    default = tuple(part for child in rest[1:] for part in _parts(tree, child, is_quoted=True))
    return Variable(name=name, operator=operator, default=default, is_quoted=is_quoted)


def _substitution(tree: ShellTree, node: tree_sitter.Node, *, is_quoted: bool) -> Part:
    source = tree.source(node)
    inner = source[2:-1] if source.startswith("$(") else source[1:-1].replace("\\`", "`")
    return Substitution(source=inner, line=tree.line(node), is_quoted=is_quoted)
