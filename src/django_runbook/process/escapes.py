"""Decodes escaped text, however often it was escaped, and remembers the position of each character."""

from __future__ import annotations

import html.entities
import re
from collections.abc import Sequence
from typing import Final

from django_runbook.structs import Struct

_MAX_ROUNDS: Final = 8
# Each round of escaping doubles the number of backslashes.
_ESCAPE: Final = re.compile(
    r"%(?P<percent>[0-9a-fA-F]{2})"
    r"|\\+(?:(?:x(?P<byte>[0-9a-fA-F]{2})|u(?P<short>[0-9a-fA-F]{4})|U(?P<long>[0-9a-fA-F]{8}))|(?P<letter>[abtnvfre0])|)"
    r"|&(?:#(?P<decimal>[0-9]{1,7})|#[xX](?P<hex>[0-9a-fA-F]{1,6})|(?P<name>[A-Za-z][A-Za-z0-9]{1,31}));"
    "|(?P<utf16>[\ud800-\udbff][\udc00-\udfff])"
    "|(?P<utf8>[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3})"
    r"|(?P<quotes>'{2,})"
    r"|(?P<plus>\+)"
)
_LETTERS: Final = dict(zip("abtnvfre0", "\a\b\t\n\v\f\r\x1b\0", strict=True))


class Decoded(Struct):
    """Holds decoded text; ``starts`` and ``ends`` are the positions of each character in the original."""

    text: str
    starts: Sequence[int]
    ends: Sequence[int]


def decoded(text: str) -> Decoded:
    """Decode the escapes of Python, JSON, SQL, URLs and HTML until none remain.

    Strings with the same meaning become equal. Therefore a plus sign becomes a space, and a backslash that escapes
    nothing is removed, as is each repeated quotation mark.
    """
    found = Decoded(text=text, starts=range(len(text)), ends=range(1, len(text) + 1))
    for _ in range(_MAX_ROUNDS):
        before, found = found, _decoded_once(found)
        if before.text == found.text:
            break
    return found


def _decoded_once(before: Decoded) -> Decoded:
    text, last = before.text, 0
    pieces: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    dropped_at: int | None = None

    def keep(start: int, end: int) -> None:
        nonlocal dropped_at
        if start < end:
            pieces.append(text[start:end])
            starts.extend(before.starts[start:end])
            ends.extend(before.ends[start:end])
            if dropped_at is not None:
                starts[-(end - start)], dropped_at = dropped_at, None

    for match in _ESCAPE.finditer(text):
        keep(last, match.start())
        last = match.end()
        start, end = before.starts[match.start()], before.ends[match.end() - 1]
        character = _character(match)
        if character:
            pieces.append(character)
            starts.extend((start if dropped_at is None else dropped_at,) * len(character))
            ends.extend((end,) * len(character))
            dropped_at = None
            continue
        # Removed characters belong to both neighbors.
        dropped_at = start if dropped_at is None else dropped_at
        if ends:
            ends[-1] = end
    keep(last, len(text))
    return Decoded(text="".join(pieces), starts=starts, ends=ends)


def _character(match: re.Match[str]) -> str:
    """Return the decoded escape, or the original characters if they are not a valid escape."""
    kind, value = match.lastgroup, match[match.lastgroup] if match.lastgroup else ""
    match kind:
        case None:
            return ""
        case "percent" | "byte" | "short" | "long" | "hex":
            return _from_number(int(value, 16), or_else=match[0])
        case "decimal":
            return _from_number(int(value), or_else=match[0])
        case "name":
            return html.entities.html5.get(f"{value};", match[0])
        case "letter":
            return _LETTERS[value]
        case "quotes":
            return "'"
        case "plus":
            return " "
    encoding, data = (
        ("utf-16-le", value.encode("utf-16-le", "surrogatepass"))
        if kind == "utf16"
        else ("utf-8", value.encode("latin-1"))
    )
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        return value


def _from_number(number: int, *, or_else: str) -> str:
    return chr(number) if number <= 0x10FFFF else or_else
