"""Lines of output to what is kept of them until they can be shown: the first and the last ones, or all."""

from __future__ import annotations

import tempfile
from collections import deque
from collections.abc import Iterator
from typing import Final, Protocol

_MAX_CHARACTERS_IN_MEMORY: Final = 1024 * 1024


class Kept(Protocol):
    """Takes lines, and gives them back; closed when nobody needs them any more."""

    def add(self, line: str) -> None: ...

    def lines(self) -> Iterator[str]: ...

    def close(self) -> None: ...


class Excerpt:
    """The first and the last lines, with a word on how many stood between them."""

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
        left_out = self._count - len(self._head) - len(self._tail)
        if left_out:
            yield f"... {left_out} lines left out ..."
        yield from self._tail

    def close(self) -> None:
        """There is nothing to give back."""


class Spool:
    """All lines; beyond a size they wait on disk, so that a step that writes much does not fill the memory."""

    def __init__(self) -> None:
        # A lone surrogate is text like any other here: it is the stream that shows it which has to cope.
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
