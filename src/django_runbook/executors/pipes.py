"""Reads the standard output or error of a process, and passes it on line by line."""

from __future__ import annotations

import codecs
import os
from typing import Final

from django_runbook.cleaning import Mask
from django_runbook.process.streams import KeptText, LineSplitter, WriteLine

_CHUNK: Final = 64 * 1024


class PipeReader:
    """Reads from a pipe without waiting; ``kept`` is the text as it was written, if requested."""

    def __init__(
        self, descriptor: int, stream: str, *, write_line: WriteLine, mask: Mask, is_kept: bool = False
    ) -> None:
        self.kept = KeptText() if is_kept else None
        self._descriptor = descriptor
        self._stream = stream
        self._write_line = write_line
        self._lines = LineSplitter(mask)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        os.set_blocking(descriptor, False)

    def fileno(self) -> int:
        return self._descriptor

    def read(self) -> bool:
        """Pass on the available output; return whether the pipe is still open."""
        try:
            data = os.read(self._descriptor, _CHUNK)
        except BlockingIOError:
            return True
        self._pass_on(self._decoder.decode(data))
        return bool(data)

    def finish(self) -> None:
        """Pass on the rest, even if it is an incomplete line."""
        self._pass_on(self._decoder.decode(b"", final=True))
        for line in self._lines.finish():
            self._write_line(self._stream, line)

    def _pass_on(self, text: str) -> None:
        if self.kept is not None:
            self.kept.add(text)
        for line in self._lines.feed(text):
            self._write_line(self._stream, line)

    def close(self) -> None:
        os.close(self._descriptor)
