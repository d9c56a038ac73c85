"""Maps the positions of an editor to offsets in a text, and the spans of diagnostics to both."""

from __future__ import annotations

import bisect
import re
from functools import cached_property
from typing import Final

from django_runbook.document.diagnostics import Span
from django_runbook.document.syntax.source import LINE_BREAK, Source
from django_runbook.structs import Struct

# The line breaks of the protocol; YAML has more.
_EDITOR_BREAK: Final = re.compile("\r\n|[\n\r]")
_BOM: Final = "\ufeff"


class EditorPosition(Struct, kw_only=False):
    """Holds a position as an editor sends it, counted from 0; ``character`` counts units of the encoding."""

    line: int
    character: int


class EditorText(Struct, dict=True):
    """Holds the text of an open file; ``encoding`` is that of the positions: utf-8, utf-16 or utf-32."""

    text: str
    encoding: str = "utf-16"

    @cached_property
    def _editor_lines(self) -> list[int]:
        return [0, *(match.end() for match in _EDITOR_BREAK.finditer(self.text))]

    @cached_property
    def _yaml_lines(self) -> list[int]:
        # The text that is checked begins after a byte order mark.
        return [int(self.text.startswith(_BOM)), *(match.end() for match in LINE_BREAK.finditer(self.text))]

    @property
    def source(self) -> Source:
        """Return the text as the parser reads it, for answers that need no path."""
        return Source(path="runbook.yml", text=self.text)

    def offset_at(self, position: EditorPosition) -> int:
        """Return the offset of a position; one after the end of its line or of the text is moved there."""
        starts = self._editor_lines
        if position.line >= len(starts):
            return len(self.text)
        start = starts[max(position.line, 0)]
        found = _EDITOR_BREAK.search(self.text, start)
        line = self.text[start : found.start() if found else len(self.text)]
        length = 0
        for index, character in enumerate(line):
            if length >= position.character:
                return start + index
            length += self._units(character)
        return start + len(line)

    def position_at(self, offset: int) -> EditorPosition:
        """Return the position of an offset."""
        offset = min(max(offset, 0), len(self.text))
        line = bisect.bisect_right(self._editor_lines, offset) - 1
        return EditorPosition(line, self._units(self.text[self._editor_lines[line] : offset]))

    def offset_of(self, line: int, column: int) -> int:
        """Return the offset of a line and a column of a diagnostic, counted from 1 in characters."""
        starts = self._yaml_lines
        if line > len(starts):
            return len(self.text)
        end = starts[line] if line < len(starts) else len(self.text)
        return min(starts[max(line, 1) - 1] + max(column, 1) - 1, end)

    def offsets_of(self, span: Span) -> tuple[int, int]:
        """Return the offsets of a span, which ends at the end of its line if it is longer than the line."""
        start = self.offset_of(span.line, span.column)
        end = self.offset_of(span.end_line, span.end_column)
        found = LINE_BREAK.search(self.text, self.offset_of(span.end_line, 1))
        return start, max(start, min(end, found.start() if found else len(self.text)))

    def line_around(self, offset: int) -> tuple[int, int]:
        """Return the offsets of the line that contains an offset, without its line break."""
        starts = self._yaml_lines
        start = starts[max(bisect.bisect_right(starts, offset) - 1, 0)]
        found = LINE_BREAK.search(self.text, start)
        return start, found.start() if found else len(self.text)

    def _units(self, text: str) -> int:
        if self.encoding == "utf-32":
            return len(text)
        if self.encoding == "utf-8":
            return len(text.encode("utf-8", "surrogatepass"))
        return len(text.encode("utf-16-le", "surrogatepass")) // 2
