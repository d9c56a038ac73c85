"""Keeps the first and the last lines of a step, up to a maximum size."""

from __future__ import annotations

import threading
from collections import deque
from typing import Final

from django_runbook.models.fields import to_db_text

HEAD_LINES: Final = 200
TAIL_LINES: Final = 800
MAX_CHARACTERS: Final = 64 * 1024
# The cost of a line besides its characters, so that empty lines are limited too.
_PER_LINE: Final = 1


class KeptOutput:
    """Collects lines in a head and a tail, and counts the omitted lines between them."""

    __slots__ = ("_guard", "_head", "_head_length", "_is_head_full", "_tail", "_tail_length", "omitted_count", "size")

    def __init__(self) -> None:
        # One thread adds lines while another one writes the lines so far.
        self._guard = threading.Lock()
        self._head: list[str] = []
        self._tail: deque[str] = deque()
        self._head_length = self._tail_length = self.omitted_count = self.size = 0
        self._is_head_full = False

    def add(self, line: str) -> None:
        """Add a line."""
        with self._guard:
            self._add(line)

    def _add(self, line: str) -> None:
        length = len(line) + _PER_LINE
        self.size += len(line)
        head_room = MAX_CHARACTERS * HEAD_LINES // (HEAD_LINES + TAIL_LINES)
        if not self._is_head_full and len(self._head) < HEAD_LINES and self._head_length + length <= head_room:
            self._head.append(line)
            self._head_length += length
            return
        self._is_head_full = True
        tail_room = MAX_CHARACTERS - head_room
        if length > tail_room:
            line, length = line[-(tail_room - _PER_LINE) :], tail_room
        self._tail.append(line)
        self._tail_length += length
        while len(self._tail) > TAIL_LINES or self._tail_length > tail_room:
            self._tail_length -= len(self._tail.popleft()) + _PER_LINE
            self.omitted_count += 1

    def columns(self) -> dict[str, object]:
        """Return the columns for the lines so far."""
        with self._guard:
            return self._columns()

    def _columns(self) -> dict[str, object]:
        if not self._head and not self._tail:
            return {}
        columns: dict[str, object] = {"output_size": self.size, "output_head": to_db_text("\n".join(self._head))}
        if self._tail:
            columns |= {"output_tail": to_db_text("\n".join(self._tail)), "omitted_count": self.omitted_count}
        return columns
