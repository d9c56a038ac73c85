"""Writes lines to a stream, except between a question and its answer."""

from __future__ import annotations

from typing import IO

from django_runbook.cleaning import encodable
from django_runbook.reporters import phrases
from django_runbook.reporters.buffers import SpooledBuffer


class LineStream:
    """Writes each line at once; between `defer` and `resume`, lines wait, so that a question stays readable."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._deferred: SpooledBuffer | None = None

    def write(self, text: str) -> None:
        """Write a text as one line."""
        line = phrases.one_line(text)
        if self._deferred is not None:
            self._deferred.add(line)
            return
        self._stream.write(encodable(line, self._stream) + "\n")
        self._stream.flush()

    def defer(self) -> None:
        """Keep the following lines."""
        if self._deferred is None:
            self._deferred = SpooledBuffer()

    def resume(self) -> None:
        """Write the lines that were kept, and write at once again."""
        if self._deferred is None:
            return
        lines, self._deferred = self._deferred, None
        for line in lines.lines():
            self.write(line)
        lines.close()
