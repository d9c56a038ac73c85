"""Splits the output of a command into lines. Only this module replaces the standard streams."""

from __future__ import annotations

import codecs
import contextlib
import getpass
import io
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import IO, Any, Final

from django_runbook.cleaning import Mask, cleaned_line, without_escapes
from django_runbook.process import debugging, input_files, python_internals

MAX_KEPT_CHARACTERS = 16 * 1024 * 1024
_MAX_LINE = 64 * 1024
WriteLine = Callable[[str, str], None]


NO_INPUT: Final = (
    'the command asked for input, and its standard input is empty: give the text under "stdin", or pass its --no-input '
    "option, or its own option for the answer"
)
TOO_LITTLE_INPUT: Final = 'the command asked for more input than "stdin" gives it'


class NoInputError(EOFError):
    """Reports that a command asked for a password, which nobody can type in a runbook."""

    def __init__(self) -> None:
        super().__init__(NO_INPUT)


class TooMuchOutputError(Exception):
    """Reports that a step with ``capture`` wrote more than can be kept."""

    def __init__(self) -> None:
        super().__init__(f"the step captured more than {MAX_KEPT_CHARACTERS} characters")


def clean_line(text: str, mask: Mask) -> str:
    """Remove control characters and secrets from a line; if it was overwritten, return the visible part."""
    if text.isprintable():
        return mask(text)
    # Removed characters may split a secret, or hide it.
    return mask(cleaned_line(without_escapes(mask(text)).rstrip("\r").rsplit("\r", 1)[-1]))


def _clean_lines(text: str, mask: Mask) -> list[str]:
    # One search in all lines is much faster than one search in each line.
    is_free = mask(text) is text
    return [line if is_free and line.isprintable() else clean_line(line, mask) for line in text.split("\n")]


def clean_text(text: str, mask: Mask) -> str:
    """Clean each line of a text as `clean_line` does; a secret with several lines is masked line by line."""
    return "\n".join(clean_line(line, mask) for line in mask(text).splitlines())


class LineSplitter:
    """Joins pieces of text into lines without control characters and secrets; very long lines are split."""

    def __init__(self, mask: Mask) -> None:
        self._mask = mask
        self._partial = ""

    def feed(self, text: str) -> list[str]:
        """Add a piece of text; return the lines that are complete."""
        self._partial += text
        if "\n" not in text and len(self._partial) <= 2 * _MAX_LINE:
            return []
        full, _, self._partial = self._partial.rpartition("\n")
        lines = _clean_lines(full, self._mask) if "\n" in text else []
        if len(self._partial) > 2 * _MAX_LINE:
            # The end of the line is held back, so that no secret is split and shown in parts.
            shown = clean_line(self._partial, self._mask)
            lines.append(shown[:-_MAX_LINE])
            self._partial = shown[-_MAX_LINE:]
        return lines

    def take_partial(self) -> str:
        """Remove and return the incomplete line."""
        partial, self._partial = self._partial, ""
        return partial

    def finish(self) -> list[str]:
        """Return the incomplete line as the last one."""
        last, self._partial = self._partial, ""
        return [clean_line(last, self._mask)] if last else []


class KeptText:
    """Keeps what was written, up to `MAX_KEPT_CHARACTERS`."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._length = 0

    @property
    def is_too_long(self) -> bool:
        return self._length > MAX_KEPT_CHARACTERS

    @property
    def text(self) -> str:
        return "".join(self._pieces)

    def add(self, text: str) -> None:
        self._length += len(text)
        if not self.is_too_long:
            self._pieces.append(text)


class StreamToLines(io.TextIOBase):
    """Passes on each complete line; ``kept`` is the text as it was written.

    After `finish`, writes go to ``late``, masked. With ``shows_prompts``, flushing an incomplete line writes it to
    ``fallback``, since a user may be waiting for it. ``before_write`` passes on output that bypassed this stream, and
    returns False in a forked process, whose output bypasses it too.
    """

    def __init__(
        self,
        name: str,
        *,
        write_line: WriteLine,
        mask: Mask,
        is_kept: bool,
        fallback: IO[str] | None,
        late: IO[str] | None = None,
        shows_prompts: bool = False,
    ) -> None:
        super().__init__()
        self.before_write: Callable[[], bool] | None = None
        self._late = late or fallback
        self.stream_name = name
        self._write_line = write_line
        self._lines = LineSplitter(mask)
        self._mask = mask
        self._fallback = fallback
        self._shows_prompts = shows_prompts
        self._kept = KeptText() if is_kept else None
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
        if self.before_write is not None and not self.before_write():
            _write_whole(1 if self.stream_name == "stdout" else 2, text)
            return len(text)
        with self._lock:
            if self._kept is not None and not self._is_over:
                self._kept.add(text)
                if self._kept.is_too_long:
                    raise TooMuchOutputError
            for line in self._lines.feed(text):
                self._pass_on(line)
        return len(text)

    def _pass_on(self, line: str) -> None:
        if not self._is_over:
            self._write_line(self.stream_name, line)
        elif self._late is not None:
            # A thread or a logging handler outlived its step; its output does not belong to the next step.
            self._late.write(f"{line}\n")

    def flush(self) -> None:
        """Show an incomplete line, if a user may be waiting for it; complete lines were already passed on."""
        if not self._shows_prompts or self._fallback is None:
            return
        with self._lock:
            if prompt := self._lines.take_partial():
                self._fallback.write(clean_line(prompt, self._mask))
                self._fallback.flush()

    @property
    def kept(self) -> str:
        return self._kept.text if self._kept is not None else ""

    @property
    def is_too_long(self) -> bool:
        return self._kept is not None and self._kept.is_too_long

    def finish(self) -> None:
        """Pass on the incomplete line; later writes do not belong to the step."""
        if self.before_write is not None and not self.before_write():
            # In a forked process, the incomplete line belongs to the parent, and the lock may be held.
            return
        with self._lock:
            for line in self._lines.finish():
                self._write_line(self.stream_name, line)
            self._is_over = True

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return False

    def reconfigure(self, **options: object) -> None:
        """Ignore the options of a real standard stream: lines are passed on as they are written."""

    def fileno(self) -> int:
        if self._fallback is None:
            raise io.UnsupportedOperation("fileno")
        return self._fallback.fileno()


def _write_whole(descriptor: int, text: str) -> None:
    data = text.encode(errors="backslashreplace")
    with contextlib.suppress(OSError):
        while data:
            data = data[os.write(descriptor, data) :]


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


@contextlib.contextmanager
def captured(
    *,
    write_line: WriteLine,
    mask: Mask,
    is_kept: bool,
    stdin: str | None = None,
    keeps_terminal: bool = False,
    late: IO[str] | None = None,
) -> Iterator[tuple[StreamToLines, StreamToLines]]:
    """Replace the standard streams during one call of a command, including those that logging handlers use.

    The command reads ``stdin``, or nothing. With ``keeps_terminal``, standard input is kept unless there is a text for
    it, and a prompt is shown before its line is complete. Output after the call goes to ``late``, or to the previous
    stream.
    """
    before = sys.stdin, sys.stdout, sys.stderr, getpass.getpass
    out, err = (
        StreamToLines(
            name,
            write_line=write_line,
            mask=mask,
            is_kept=is_kept and name == "stdout",
            fallback=stream,
            late=late,
            shows_prompts=keeps_terminal,
        )
        for name, stream in (("stdout", sys.stdout), ("stderr", sys.stderr))
    )
    standard = ((sys.stdout, out), (sys.stderr, err), (sys.__stdout__, out), (sys.__stderr__, err))
    handlers = list(_retarget({id(stream): ours for stream, ours in standard}, (out, err)))
    sys.stdout, sys.stderr = out, err
    try:
        with (
            contextlib.nullcontext() if keeps_terminal and stdin is None else _input_of(stdin),
            debugging.at_terminal(before[1]) if keeps_terminal else contextlib.nullcontext(),
        ):
            yield out, err
    finally:
        sys.stdin, sys.stdout, sys.stderr, getpass.getpass = before
        for handler, stream in handlers:
            handler.stream = stream
        out.finish()
        err.finish()


@contextlib.contextmanager
def _input_of(text: str | None) -> Iterator[None]:
    """Replace standard input by a text, also for subprocesses, or by an empty file; the caller restores `sys.stdin`."""
    if text is None:
        stream: IO[str] = open(os.devnull, encoding="utf-8")  # noqa: PTH123, SIM115 - closed below; once a step
        sys.stdin, getpass.getpass = stream, refuse_password
        try:
            yield
        finally:
            # The command may have closed its descriptor.
            with contextlib.suppress(OSError):
                stream.close()
        return
    with _descriptor_0(text):
        sys.stdin, getpass.getpass = input_stream(), read_password
        yield


def input_stream() -> IO[str]:
    """Return a stream that reads from file descriptor 0."""
    return open(0, encoding="utf-8", errors="backslashreplace", closefd=False)


@contextlib.contextmanager
def _descriptor_0(text: str) -> Iterator[None]:
    """Replace file descriptor 0 with a file that contains a text."""
    source = input_files.open_text(text)
    try:
        saved: int | None = os.dup(0)
    except OSError:
        saved = None
    if source != 0:
        os.dup2(source, 0)
        os.close(source)
    try:
        yield
    finally:
        # The command may have closed it.
        with contextlib.suppress(OSError):
            if saved is None:
                os.close(0)
            else:
                os.dup2(saved, 0)
                os.close(saved)


def refuse_password(prompt: str = "", stream: object = None, **more: object) -> str:
    """Replace `getpass.getpass`, which would ask at the terminal."""
    raise NoInputError


def read_password(prompt: str = "", stream: object = None, **more: object) -> str:
    """Replace `getpass.getpass` by a function that reads the next line of standard input."""
    line = sys.stdin.readline()
    if not line:
        raise NoInputError
    return line.removesuffix("\n")


def _retarget(
    streams: dict[int, StreamToLines], both: tuple[StreamToLines, StreamToLines]
) -> Iterator[tuple[logging.StreamHandler[Any], Any]]:
    """Redirect the logging handlers that write to a standard stream, or to a stream of an earlier step, to ours."""
    for handler in python_internals.logging_handlers():
        stream = getattr(handler, "stream", None)
        ours = streams.get(id(stream))
        if isinstance(stream, StreamToLines):
            ours = next(one for one in both if one.stream_name == stream.stream_name)
        if isinstance(handler, logging.StreamHandler) and ours is not None:
            # The stream of logging.lastResort cannot be set.
            with contextlib.suppress(AttributeError):
                handler.stream = ours
                yield handler, stream


@contextlib.contextmanager
def empty_input(*, is_kept: bool = False) -> Iterator[IO[str] | None]:
    """Replace file descriptor 0 with an empty file for child processes and C code, unless ``is_kept``.

    Yield the previous input, for questions to the user; None if there was none.
    """
    if is_kept:
        yield sys.stdin
        return
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
        # A command in this process may have closed it.
        with contextlib.suppress(OSError):
            os.dup2(saved, 0)
            os.close(saved)
