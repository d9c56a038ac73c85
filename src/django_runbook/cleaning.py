"""Removes control characters and invisible format characters from strings before they are shown.

Reporters, commands and pages clean their output here. Escape sequences of terminals are removed as a whole. Lone
surrogates, which no file and no database accepts, become ``\\udc80``. What a stream cannot encode is escaped as well.
"""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Callable
from typing import Any, Final, TypeVar

from django_runbook.structs import Struct, replace

_ESCAPES: Final = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[PX^_][^\x1b]*(?:\x1b\\)?|.)", re.DOTALL
)
# The categories Cc without tab and line feed, Cf, Zl and Zp of Unicode.
_HIDDEN: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u180e\u200b-\u200f"
    "\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3"
    "\U0001d173-\U0001d17a\U000e0000-\U000e007f]"
)
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_BREAK: Final = re.compile("[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]+")
# The fields of events, results and failures that may have several lines.
_LONG: Final = frozenset(("message", "traceback", "text", "reason", "warnings", "help"))
_Struct = TypeVar("_Struct", bound=Struct)
_WITHOUT_TEXT: Final = frozenset((int, float, bool, type(None), datetime.datetime))
MASK: Final = "***"
Mask = Callable[[str], str]


def cleaned(text: str) -> str:
    """Remove control and format characters, except tabs and line feeds."""
    if text.isprintable():
        return text
    text = _HIDDEN.sub("", without_escapes(text))
    return _SURROGATE.sub(_escaped, text)


def encodable(text: str, stream: object) -> str:
    """Escape characters that the stream cannot encode, for example as ``\\xfc``."""
    if text.isascii():
        return text
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def has_surrogates(text: str) -> bool:
    """Return whether a string has half a surrogate pair, which UTF-8 cannot encode."""
    return not text.isascii() and _SURROGATE.search(text) is not None


def is_blank(text: str) -> bool:
    """Return whether a string has no visible character."""
    return not cleaned(text).strip()


def without_escapes(text: str) -> str:
    """Remove the escape sequences of terminals."""
    return _ESCAPES.sub("", text)


def cleaned_line(text: str) -> str:
    """Clean a string and make it one line: each line break becomes a space."""
    return text if text.isprintable() else cleaned(_BREAK.sub(" ", text)).replace("\n", " ")


def cleaned_values(value: Any, mask: Mask = str, *, is_long: bool = False) -> Any:
    """Mask and clean each string in a value of plain data and structs.

    Strings become one line, except in the fields that may have several. Clean parts stay the same objects.
    """
    if not value:
        return value
    match value:
        case str():
            # Members of enumerations are strings too.
            return _cleaned(value, mask, is_long=is_long) if type(value) is str else value
        case tuple() | list():
            made = [cleaned_values(one, mask, is_long=is_long) for one in value]
            is_same = all(one is before for one, before in zip(made, value, strict=True))
            return value if is_same else type(value)(made)
        case dict():
            return {
                cleaned_values(name, mask): cleaned_values(one, mask, is_long=is_long) for name, one in value.items()
            }
        case Struct():
            return cleaned_fields(value, mask)
    return value


def cleaned_fields(value: _Struct, mask: Mask) -> _Struct:
    """Mask and clean each string in the fields of a struct, as `cleaned_values` does."""
    changes: dict[str, Any] = {}
    for name in value.__struct_fields__:
        before = getattr(value, name)
        # Each line of output is an event: these two cases are most of the work for one.
        if type(before) in _WITHOUT_TEXT:
            continue
        if type(before) is str:
            made = _cleaned(before, mask, is_long=name in _LONG)
        else:
            made = cleaned_values(before, mask, is_long=name in _LONG)
        if made is not before:
            changes[name] = made
    return replace(value, **changes) if changes else value


def _cleaned(text: str, mask: Mask, *, is_long: bool) -> str:
    made = mask(text)
    if not made.isprintable():
        # Removing characters may have uncovered a secret.
        made = mask(cleaned(made) if is_long else cleaned_line(made))
    return text if made == text else made


def _escaped(found: re.Match[str]) -> str:
    return json.dumps(found[0])[1:-1]
