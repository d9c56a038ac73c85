"""Writes values of a file as they are written there."""

from __future__ import annotations

from collections.abc import Mapping

from django_runbook.document.expressions import Expression, Template, as_written
from django_runbook.document.runbook import Located


def written(value: object) -> str:
    """Return a value of the file as it is written there."""
    match value:
        case Located(text=text) if text:
            return text
        case Located():
            return written(value.value)
        case Expression():
            return value.source
        case str() | Template():
            return as_written(value)
        case Mapping():
            return f"{{{', '.join(f'{name}: {written(one)}' for name, one in value.items())}}}"
        case tuple():
            return f"[{', '.join(map(written, value))}]"
        case bool():
            return str(value).lower()
    return "null" if value is None else str(value)
