"""Finds the scalar at the cursor of a text that is being written: a mark is inserted there, and the parser finds it.

Several forms of the unfinished line are tried, and lines with other errors are left out, so that broken YAML has an
answer too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, TypeAlias

from django_runbook.document.syntax.nodes import Mapping, Node, Scalar, Sequence
from django_runbook.document.syntax.parse import parse
from django_runbook.document.syntax.source import LINE_BREAK, Source
from django_runbook.language_server.cursor.editor_text import EditorText
from django_runbook.structs import Struct

_MAX_TRIES: Final = 4
_CLOSING: Final = {"[": "]", "{": "}"}
_START_OF_KEY: Final = re.compile(r"[ ]*(?:-[ ]+)*[\w$-]*")
_REST_OF_KEY: Final = re.compile(r"[\w$-]*[ \t]*(?:#.*)?")
# A list or a mapping, with the index or the key of the node in it that leads to the cursor.
Around: TypeAlias = tuple[Sequence | Mapping, int | str]


class CursorPlace(Struct):
    """Locates the cursor in the nodes of a text: in a key, or in any other scalar.

    ``around`` leads from the root to the scalar. ``before`` and ``after`` are the parts of its value on both sides of
    the cursor. ``source`` is the text with the mark, without lines that cannot be read.
    """

    source: Source
    mark: str
    scalar: Scalar
    around: tuple[Around, ...]
    before: str
    after: str
    is_key: bool

    @property
    def given_keys(self) -> set[str]:
        """Return the other keys of the mapping around the cursor."""
        node = self.around[-1][0] if self.around else None
        return (
            {key.text for key, _ in node.entries if self.mark not in key.text} if isinstance(node, Mapping) else set()
        )


def places_at(text: EditorText, offset: int) -> list[CursorPlace]:
    """Return the places that the cursor may be in: a word alone may become a key or a value."""
    mark = unused_word(text.text)
    start, end = text.line_around(offset)
    before, after = text.text[start : max(offset, start)], text.text[max(offset, start) : end]

    def find(line: str) -> CursorPlace | None:
        return _find(Source(path=text.source.path, text=text.text[:start] + line + text.text[end:]), mark)

    key = None
    if _START_OF_KEY.fullmatch(before) and _REST_OF_KEY.fullmatch(after):
        key = find(f"{before}{mark}{after.partition('#')[0].rstrip()}: 0")
    value = find(f"{before}{mark}{after}") or find(f"{before}{mark}{_closing_of(before)}")
    found = [] if key is None or not key.is_key else [key]
    # A line that has its colon already is a key in both forms.
    return found if value is None or (found and value.is_key) else [*found, value]


def place_at(text: EditorText, offset: int) -> CursorPlace | None:
    """Return the place of the cursor in the text as it is."""
    mark = unused_word(text.text)
    source = Source(path=text.source.path, text=text.text[:offset] + mark + text.text[offset:])
    return _find(source, mark)


def unused_word(text: str) -> str:
    """Return a word that the text does not contain."""
    word = "zcursorz"
    while word in text:
        word += "z"
    return word


def _closing_of(line: str) -> str:
    """Return what closes the quotes and brackets that are open at the end of a line."""
    open_brackets: list[str] = []
    quote = ""
    position = 0
    while position < len(line):
        character = line[position]
        is_start = position == 0 or line[position - 1] in " \t[{,:"
        if quote:
            position += character == "\\" and quote == '"'
            quote = "" if character == quote else quote
        elif character in "'\"" and is_start:
            quote = character
        elif character in _CLOSING and (is_start or open_brackets):
            open_brackets.append(_CLOSING[character])
        elif open_brackets and character == open_brackets[-1]:
            open_brackets.pop()
        position += 1
    return quote + "".join(reversed(open_brackets))


def _find(source: Source, mark: str) -> CursorPlace | None:
    for _ in range(_MAX_TRIES):
        parsed = parse(source)
        found = next(_marked(parsed.root, mark, ()), None) if parsed.root is not None else None
        if found is not None:
            scalar, around, is_key = found
            before, _, after = scalar.text.partition(mark)
            return CursorPlace(
                source=source, mark=mark, scalar=scalar, around=around, before=before, after=after, is_key=is_key
            )
        wrong = {item.span.line - 1 for item in parsed.diagnostics}
        lines = source.lines
        kept = ["" if number in wrong and mark not in one else one for number, one in enumerate(lines)]
        if kept == lines:
            return None
        breaks = [*LINE_BREAK.findall(source.text), ""]
        text = "".join(f"{one}{end}" for one, end in zip(kept, breaks, strict=True))
        source = Source(path=source.path, text=text)
    return None


def _marked(node: Node, mark: str, around: tuple[Around, ...]) -> Iterator[tuple[Scalar, tuple[Around, ...], bool]]:
    match node:
        case Scalar():
            if mark in node.text:
                yield node, around, False
        case Sequence():
            for index, item in enumerate(node.items):
                yield from _marked(item, mark, (*around, (node, index)))
        case Mapping():
            for key, value in node.entries:
                if mark in key.text:
                    yield key, (*around, (node, key.text)), True
                yield from _marked(value, mark, (*around, (node, key.text)))
