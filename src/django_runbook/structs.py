"""Defines the base classes of our data classes.

They are structs of msgspec, which builds a class 30 times as fast as ``dataclasses`` does: with those, the decorators
took most of the time that a run needs to import this package. Annotations are not checked at runtime.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TypeVar, dataclass_transform

import msgspec
from msgspec import field
from msgspec.structs import asdict

if TYPE_CHECKING:
    # Both take the same arguments, but mypy knows the fields of this one only.
    from dataclasses import replace
else:
    from msgspec.structs import replace

__all__ = ["MutableStruct", "Struct", "asdict", "field", "from_json", "given_fields", "of_plain", "replace", "to_json"]
_Struct = TypeVar("_Struct", bound=msgspec.Struct)


class _KeywordOnly(msgspec.StructMeta):
    """Makes the fields of every subclass keyword-only, which msgspec would do for one class at a time."""

    def __new__(  # noqa: PYI034 - mypy allows no Self in a metaclass
        cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any], *, kw_only: bool = True, **options: Any
    ) -> _KeywordOnly:
        return super().__new__(cls, name, bases, namespace, kw_only=kw_only, **options)


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(field,))
class Struct(msgspec.Struct, metaclass=_KeywordOnly, frozen=True):
    """Holds named values that never change; ``replace()`` makes the next one."""


@dataclass_transform(kw_only_default=True, field_specifiers=(field,))
class MutableStruct(msgspec.Struct, metaclass=_KeywordOnly):
    """Holds the state of one piece of work, whose fields change while it lasts."""


def given_fields(value: msgspec.Struct) -> Iterator[tuple[str, Any]]:
    """Yield the name and the value of each field whose value is not its default."""
    names, defaults = value.__struct_fields__, value.__struct_defaults__
    # The defaults are those of the last fields.
    required = (msgspec.NODEFAULT,) * (len(names) - len(defaults))
    for name, default in zip(names, (*required, *defaults), strict=True):
        given = getattr(value, name)
        if given != default:
            yield name, given


def to_json(value: msgspec.Struct) -> str:
    """Return a struct as JSON."""
    return msgspec.json.encode(value).decode()


def of_plain(kind: type[_Struct], value: object) -> _Struct:
    """Read a struct from lists and mappings, whose types are checked; raises ValueError if it is none."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from error


def from_json(kind: type[_Struct], text: str) -> _Struct:
    """Read a struct from JSON, whose types are checked; raises ValueError if it is none."""
    try:
        return msgspec.json.decode(text, type=kind)
    except msgspec.DecodeError as error:
        raise ValueError(str(error)) from error
