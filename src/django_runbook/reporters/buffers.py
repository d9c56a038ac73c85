"""Buffers lines of output until they can be shown: all of them, or the first and the last ones."""

from __future__ import annotations

import tempfile
from collections import deque
from collections.abc import Iterator
from typing import Final, Protocol

from django_runbook import wording

_MAX_CHARACTERS_IN_MEMORY: Final = 1024 * 1024


class Buffer(Protocol):
    """Stores lines and returns them in order."""

    def add(self, line: str) -> None: ...

    def lines(self) -> Iterator[str]: ...

    def close(self) -> None: ...


class HeadTailBuffer:
    """Keeps the first and the last lines, and counts the lines in between."""

    def __init__(self, *, head_count: int, tail_count: int) -> None:
        self._head_count = head_count
        self._head: list[str] = []
        self._tail: deque[str] = deque(maxlen=tail_count)
        self._count = 0

    def add(self, line: str) -> None:
        self._count += 1
        if len(self._head) < self._head_count:
            self._head.append(line)
        else:
            self._tail.append(line)

    def lines(self) -> Iterator[str]:
        yield from self._head
        omitted_count = self._count - len(self._head) - len(self._tail)
        if omitted_count:
            yield f"... {wording.number_of(omitted_count, 'line')} omitted ..."
        yield from self._tail

    def close(self) -> None:
        """Do nothing: all lines are in memory."""


class SpooledBuffer:
    """Keeps all lines; larger outputs are moved to disk, so that they do not fill the memory."""

    def __init__(self) -> None:
        # Lone surrogates are kept: the stream that shows them escapes them.
        self._file = tempfile.SpooledTemporaryFile(  # noqa: SIM115 - closed by `close`
            _MAX_CHARACTERS_IN_MEMORY, mode="w+", encoding="utf-8", errors="surrogatepass", newline="\n"
        )

    def add(self, line: str) -> None:
        self._file.write(line + "\n")

    def lines(self) -> Iterator[str]:
        self._file.seek(0)
        for line in self._file:
            yield line.removesuffix("\n")

    def close(self) -> None:
        self._file.close()
