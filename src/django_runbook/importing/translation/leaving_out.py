"""Makes the comment of a statement that is not carried over, whose variables are unknown from there on."""

from __future__ import annotations

import re
from typing import Final

from django_runbook.importing.draft import Note
from django_runbook.importing.shell.nodes import Node
from django_runbook.importing.translation.scope import ShellScope

_SETS: Final = re.compile(
    r"(?<![\w$-])(?:([A-Za-z_]\w*)(?:\+?=|\+\+|--)|(?:for|select|getopts|unset|read|mapfile|readarray)\s+([^;|&<>\n]+))"
)
_NAME: Final = re.compile(r"(?<![\w$-])[A-Za-z_]\w*")


def left_out(node: Node, reason: str, scope: ShellScope) -> Note:
    """Return the comment that holds a statement and why it is one."""
    for name, words in _SETS.findall(node.source):
        for one in [name] if name else _NAME.findall(words):
            scope.forget([one], f"${one} is set by line {node.line}, which is not carried over")
    return Note(line=node.line, text=reason, source=node.source, is_open=True)
