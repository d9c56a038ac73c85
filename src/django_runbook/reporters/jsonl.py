"""Writes each event as one line of JSON, flushed immediately and with a format version."""

from __future__ import annotations

import json
import re
from typing import IO, Any, Final

import msgspec

from django_runbook.events import Event
from django_runbook.structs import asdict

# Increased when a name or a meaning changes, but not when something is added.
VERSION: Final = 1
_NOT_ASCII: Final = re.compile(r"[^\x00-\x7f]+")
_WORD = re.compile(r"(?<=[a-z])(?=[A-Z])")


class JsonLinesReporter:
    """Writes objects with ``version``, ``event``, ``at`` and the fields of the event."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def __call__(self, event: Event) -> None:
        self._stream.write(_line_of(event))
        self._stream.flush()

    def close(self) -> None:
        self._stream.flush()


def name_of(kind: type[Event]) -> str:
    """Return the name of an event in JSON: ``step_finished`` for ``StepFinished``."""
    return _WORD.sub("_", kind.__name__).lower()


def fields_of(event: Event) -> dict[str, Any]:
    """Return the fields of an event as plain data, without its time."""
    values = asdict(event)
    del values["at"], values["clock_seconds"]
    plain: dict[str, Any] = msgspec.to_builtins(values)
    return plain


def _line_of(event: Event) -> str:
    values = asdict(event)
    at = values.pop("at")
    # The monotonic clock has no meaning outside this process.
    del values["clock_seconds"]
    encoded = msgspec.json.encode({"version": VERSION, "event": name_of(type(event)), "at": at, **values})
    # Other characters than those of ASCII are in strings only; escaped, they suit a stream of any encoding.
    return f"{_NOT_ASCII.sub(_escaped, encoded.decode())}\n"


def _escaped(found: re.Match[str]) -> str:
    return json.dumps(found[0])[1:-1]


def build(*, stream: IO[str], verbosity: int, no_color: bool, force_color: bool) -> JsonLinesReporter:
    """Create a reporter, which writes all events at any verbosity."""
    return JsonLinesReporter(stream)
