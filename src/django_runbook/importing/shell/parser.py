"""Parses shell code into the tree of tree-sitter-bash, and cuts texts out of it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from django_runbook.importing.problems import MissingExtra
from django_runbook.structs import Struct

if TYPE_CHECKING:
    import tree_sitter

# The scanner of tree-sitter-bash looks characters up in tables of 256 entries: beyond, it reads other data, or crashes.
_NOT_IN_TABLES: Final = re.compile(r"[^\x00-\xff]")
# By their number of bytes in UTF-8: other characters that may be in a word, and not in a name.
_WORD_PARTS: Final = {2: "é", 3: "é_", 4: "éé"}


class ShellTree(Struct):
    """Holds the root of a parsed text; ``first_line`` is the line of its first byte in the imported file."""

    root: tree_sitter.Node
    raw: bytes
    first_line: int

    def text(self, start: int, end: int) -> str:
        """Return the source between two offsets in bytes."""
        return self.raw[start:end].decode(errors="replace")

    def source(self, node: tree_sitter.Node) -> str:
        """Return the source of a node."""
        return self.text(node.start_byte, node.end_byte)

    def line(self, node: tree_sitter.Node) -> int:
        """Return the line of a node in the imported file."""
        return self.first_line + node.start_point.row


def parse(text: str, *, first_line: int = 1) -> ShellTree:
    """Parse shell code; errors are nodes of the tree. Raise MissingExtra without the parser."""
    try:
        import tree_sitter
        import tree_sitter_bash
    except ImportError as error:
        raise MissingExtra(error.name or "tree-sitter") from error
    raw = text.encode()
    readable = _NOT_IN_TABLES.sub(lambda found: _WORD_PARTS[len(found[0].encode())], text).encode()
    parser = tree_sitter.Parser(tree_sitter.Language(tree_sitter_bash.language()))
    return ShellTree(root=parser.parse(readable).root_node, raw=raw, first_line=first_line)
