"""What a process writes to its standard streams by itself, not through Python, to lines."""

from __future__ import annotations

import codecs
import os
from typing import Final

from django_runbook.process.masking import Mask
from django_runbook.process.streams import LineSplitter, WriteLine

_CHUNK: Final = 64 * 1024


class LineReader:
    """Reads the end of a pipe without waiting, and hands on each full line; of one that is too long, the parts."""

    def __init__(self, descriptor: int, stream: str, *, write_line: WriteLine, mask: Mask) -> None:
        self._descriptor = descriptor
        self._stream = stream
        self._write_line = write_line
        self._lines = LineSplitter(mask)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        os.set_blocking(descriptor, False)

    def fileno(self) -> int:
        return self._descriptor

    def read(self) -> bool:
        """Hand on what is there; returns whether more can come."""
        try:
            data = os.read(self._descriptor, _CHUNK)
        except BlockingIOError:
            return True
        self._hand_on(self._lines.feed(self._decoder.decode(data)))
        return bool(data)

    def finish(self) -> None:
        """Hand on what is left, also where it is no full line."""
        rest = self._decoder.decode(b"", final=True)
        self._hand_on([*self._lines.feed(rest), *self._lines.finish()])

    def _hand_on(self, lines: list[str]) -> None:
        for line in lines:
            self._write_line(self._stream, line)

    def close(self) -> None:
        os.close(self._descriptor)
