"""Plain data to a column that gives it back exactly, and any text to one that every database takes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from django.db import models


class JSONText(models.TextField):  # type: ignore[type-arg]  # said below, as the stubs want it
    """JSON as text. The databases' own JSON types change what they store: the order of keys, large numbers, and
    PostgreSQL refuses the NUL that a command may write."""

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


def storable(text: str) -> str:
    """The text without what no database takes: halves of characters, and NUL."""
    if "\0" in text:
        text = text.replace("\0", "")
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode(errors="backslashreplace").decode()
    return text
