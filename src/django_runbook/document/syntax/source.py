"""Reads the text of a file, or reports why it cannot be a runbook."""

from __future__ import annotations

import os
import re
import stat
from functools import cached_property
from pathlib import Path
from typing import Final

from yaml.reader import Reader

from django_runbook.document.diagnostics import Diagnostic, Span, diagnose
from django_runbook.structs import Struct

MAX_BYTES = 1024 * 1024
# The line breaks of libyaml, so that its line numbers and ours agree.
LINE_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
# A non-character: a file that contains it is refused before it is parsed.
PLACEHOLDER: Final = "\ufdd1"
# What YAML 1.2 section 5.1 does not allow: PyYAML has compiled it, which takes 2 ms. Then what it allows and we do not.
_FORBIDDEN: Final = (Reader.NON_PRINTABLE, re.compile("[\ufdd0-\ufdef\ufeff]"))
_UTF_16_OR_32 = (b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")
START = Span(1, 1, 1, 2)


class Source(Struct, dict=True):
    """Holds the text of one file; ``path`` is the name that the user knows."""

    path: str
    text: str
    raw: bytes = b""

    @cached_property
    def lines(self) -> list[str]:
        return LINE_BREAK.split(self.text)


def read(path: Path, *, name: str | None = None) -> tuple[Source, list[Diagnostic]]:
    """Read a file; if it cannot be read, return an empty Source and the reason as a diagnostic."""
    label = name or str(path)
    try:
        raw = _read_bytes(path)
    except _UnreadableError as error:
        return Source(path=label, text=""), [error.diagnostic]
    return decode(raw, name=label)


def decode(raw: bytes, *, name: str) -> tuple[Source, list[Diagnostic]]:
    """Decode at most 1 MiB as UTF-8 without control characters."""
    if len(raw) > MAX_BYTES:
        message = "the file is larger than 1 MiB"
        return Source(path=name, text=""), [_unreadable("RB102", message, "split it into several runbooks")]
    if raw.startswith(_UTF_16_OR_32):
        return Source(path=name, text=""), [_unreadable("RB103", "the file is not UTF-8", "save it as UTF-8")]
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        text = raw.decode("utf-8", errors="replace").removeprefix("\ufeff")
        before = raw[: error.start].decode("utf-8").removeprefix("\ufeff")
        message = f"byte 0x{raw[error.start]:02x} is not UTF-8"
        return Source(path=name, text=text), [_at_offset("RB103", message, before, "save the file as UTF-8")]
    source = Source(path=name, text=text, raw=raw)
    found = filter(None, (pattern.search(text) for pattern in _FORBIDDEN))
    forbidden = min(found, key=re.Match.start, default=None)
    if forbidden is None:
        return source, []
    message = f"character U+{ord(forbidden[0]):04X} is not allowed in a file"
    return source, [_at_offset("RB104", message, text[: forbidden.start()], "remove it, or write it as an escape")]


def with_escapes(text: str) -> str:
    """Write each character that is not allowed in a file as an escape, for example as ``\\ufdd0``."""
    for pattern in _FORBIDDEN:
        text = pattern.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
    return text


class _UnreadableError(Exception):
    def __init__(self, diagnostic: Diagnostic) -> None:
        super().__init__(diagnostic.message)
        self.diagnostic = diagnostic


def _read_bytes(path: Path) -> bytes:
    # O_NONBLOCK: opening a FIFO without a writer would block forever.
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise _UnreadableError(_unreadable("RB101", f"cannot read the file: {reason}", "")) from error
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        kind = "a directory" if stat.S_ISDIR(mode) else "not a regular file"
        raise _UnreadableError(_unreadable("RB101", f"cannot read the file: it is {kind}", ""))
    with os.fdopen(descriptor, "rb") as file:
        return file.read(MAX_BYTES + 1)


def _unreadable(code: str, message: str, help_text: str) -> Diagnostic:
    return diagnose(code, message=message, span=START, help_text=help_text)


def _at_offset(code: str, message: str, before: str, help_text: str) -> Diagnostic:
    lines = LINE_BREAK.split(before)
    line, column = len(lines), len(lines[-1]) + 1
    return diagnose(code, message=message, span=Span(line, column, line, column + 1), help_text=help_text)
