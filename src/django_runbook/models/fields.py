"""Stores plain data exactly, and text in a form that every database accepts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from django.db import models


class JSONText(models.TextField):  # type: ignore[type-arg]  # declared below, as the stubs require
    """Stores JSON as text.

    The databases' own JSON types change the order of keys and large numbers, and PostgreSQL rejects NUL characters.
    """

    if TYPE_CHECKING:
        _pyi_private_set_type: Any
        _pyi_private_get_type: Any

    def from_db_value(self, value: str | None, expression: object, connection: object) -> Any:
        return None if value is None else json.loads(value)

    def to_python(self, value: Any) -> Any:
        return value

    def get_prep_value(self, value: Any) -> str | None:
        return None if value is None else json.dumps(value)

    def value_to_string(self, obj: models.Model) -> str:
        return json.dumps(self.value_from_object(obj))


def to_db_text(text: str) -> str:
    """Remove NUL and escape lone surrogates, which databases do not accept."""
    if "\0" in text:
        text = text.replace("\0", "")
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode(errors="backslashreplace").decode()
    return text
