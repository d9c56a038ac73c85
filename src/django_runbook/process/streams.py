"""What a command writes to lines: the one place in the house where the standard streams are replaced."""

from __future__ import annotations

import codecs
import contextlib
import getpass
import io
import logging
import os
import re
import sys
import threading
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import IO, Any

from django_runbook.process.masking import Mask

MAX_KEPT_CHARACTERS = 16 * 1024 * 1024
_MAX_LINE = 64 * 1024
_ESCAPES = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[PX^_][^\x1b]*(?:\x1b\\)?|.)", re.DOTALL
)
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")
WriteLine = Callable[[str, str], None]


class NoInputError(EOFError):
    """A command asked for input that a runbook does not have."""

    def __init__(self) -> None:
        super().__init__("the command asked for input, which a runbook step does not have; use its --no-input option")


class TooMuchOutputError(Exception):
    """A step with ``capture`` wrote more than can be kept."""


def tidy(text: str, mask: Mask) -> str:
    """One line without control characters and secrets; of a line that was overwritten, what was left to see."""
    if text.isprintable():
        return mask(text)
    text = _ESCAPES.sub("", text).rstrip("\r")
    return mask(_CONTROLS.sub("", text.rsplit("\r", 1)[-1]))


def tidy_text(text: str, mask: Mask) -> str:
    """As `tidy`, for a text of several lines; a secret that goes over lines is masked line by line."""
    return "\n".join(tidy(line, mask) for line in mask(text).splitlines())


class LineSplitter:
    """Text in pieces to lines without control characters and secrets; a line that is too long comes in parts."""

    def __init__(self, mask: Mask) -> None:
        self._mask = mask
        self._partial = ""

    def feed(self, text: str) -> list[str]:
        """The lines that are full now."""
        self._partial += text
        if "\n" not in text and len(self._partial) <= 2 * _MAX_LINE:
            return []
        *lines, self._partial = self._partial.split("\n")
        lines = [tidy(line, self._mask) for line in lines]
        if len(self._partial) > 2 * _MAX_LINE:
            # As much is held back as a secret can be long, so that none is cut in two and shown in parts.
            shown = tidy(self._partial, self._mask)
            lines.append(shown[:-_MAX_LINE])
            self._partial = shown[-_MAX_LINE:]
        return lines

    def finish(self) -> list[str]:
        """What is left, as the last line."""
        last, self._partial = self._partial, ""
        return [tidy(last, self._mask)] if last else []


class StreamToLines(io.TextIOBase):
    """A text stream that hands each full line on; ``kept`` is the text as it was written."""

    def __init__(self, name: str, *, write_line: WriteLine, mask: Mask, is_kept: bool, fallback: IO[str]) -> None:
        super().__init__()
        self.stream_name = name
        self._write_line = write_line
        self._lines = LineSplitter(mask)
        self._fallback = fallback
        self._kept: list[str] | None = [] if is_kept else None
        self._kept_length = 0
        self._lock = threading.RLock()
        self._is_over = False

    encoding = "utf-8"
    errors = "backslashreplace"

    @cached_property
    def buffer(self) -> io.RawIOBase:
        return _Bytes(self)

    def write(self, text: str) -> int:
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        with self._lock:
            if self._is_over:
                # A thread that outlived its step: its words belong to no other step.
                return self._fallback.write(text)
            self._keep(text)
            for line in self._lines.feed(text):
                self._write_line(self.stream_name, line)
        return len(text)

    def _keep(self, text: str) -> None:
        if self._kept is None:
            return
        self._kept_length += len(text)
        if self._kept_length > MAX_KEPT_CHARACTERS:
            raise TooMuchOutputError(f"the step captured more than {MAX_KEPT_CHARACTERS} characters")
        self._kept.append(text)

    @property
    def kept(self) -> str:
        return "".join(self._kept or ())

    def finish(self) -> None:
        """Hand on what is left; later writes go to the stream that was there before."""
        with self._lock:
            for line in self._lines.finish():
                self._write_line(self.stream_name, line)
            self._is_over = True

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return False

    def reconfigure(self, **options: object) -> None:
        """Accepted, as a real standard stream does, and without effect: lines go out as they come."""

    def fileno(self) -> int:
        return self._fallback.fileno()


class _Bytes(io.RawIOBase):
    def __init__(self, stream: StreamToLines) -> None:
        super().__init__()
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def write(self, data: Any) -> int:
        self._stream.write(self._decoder.decode(bytes(data)))
        return len(data)

    def writable(self) -> bool:
        return True


class _NoInput(io.TextIOBase):
    encoding = "utf-8"

    def read(self, size: int | None = -1) -> str:
        raise NoInputError

    def readline(self, size: int | None = -1) -> str:  # type: ignore[override]  # the base wants int alone
        raise NoInputError

    def __next__(self) -> str:  # type: ignore[override]  # typeshed has bytes for all streams
        raise NoInputError

    def readable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return False

    def fileno(self) -> int:
        return 0


@contextlib.contextmanager
def captured(*, write_line: WriteLine, mask: Mask, is_kept: bool) -> Iterator[tuple[StreamToLines, StreamToLines]]:
    """Replace the standard streams, and what loggers hold of them, around one call of a command."""
    before = sys.stdin, sys.stdout, sys.stderr, getpass.getpass
    out = StreamToLines("stdout", write_line=write_line, mask=mask, is_kept=is_kept, fallback=sys.stdout)
    err = StreamToLines("stderr", write_line=write_line, mask=mask, is_kept=False, fallback=sys.stderr)
    handlers = list(_retarget({id(sys.stdout): out, id(sys.stderr): err}))
    sys.stdin, sys.stdout, sys.stderr = _NoInput(), out, err
    getpass.getpass = _refuse_password
    try:
        yield out, err
    finally:
        sys.stdin, sys.stdout, sys.stderr, getpass.getpass = before
        for handler, stream in handlers:
            handler.stream = stream
        out.finish()
        err.finish()


def _refuse_password(prompt: str = "", stream: object = None) -> str:
    raise NoInputError


def _retarget(streams: dict[int, StreamToLines]) -> Iterator[tuple[logging.StreamHandler[Any], Any]]:
    """Point the handlers that write to a standard stream at ours."""
    for reference in logging._handlerList:  # type: ignore[attr-defined]  # the one list of them
        handler = reference()
        stream = getattr(handler, "stream", None)
        if isinstance(handler, logging.StreamHandler) and id(stream) in streams:
            # lastResort finds sys.stderr by itself and has no stream to set.
            with contextlib.suppress(AttributeError):
                handler.stream = streams[id(stream)]
                yield handler, stream


@contextlib.contextmanager
def empty_input() -> Iterator[IO[str] | None]:
    """Give file descriptor 0 an end of file for a whole run, for child processes and for C code.

    Yields the input as it was, for questions to a person; None where there was none.
    """
    try:
        saved = os.dup(0)
    except OSError:
        yield None
        return
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    try:
        with open(saved, encoding="utf-8", errors="replace", closefd=False) as original:
            yield original
    finally:
        os.dup2(saved, 0)
        os.close(saved)
