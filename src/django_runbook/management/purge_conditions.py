"""Parses the conditions of purge_rows, and checks them before any row is deleted."""

from __future__ import annotations

from argparse import ArgumentTypeError
from datetime import datetime, timedelta
from typing import Any

from django.apps import apps
from django.core.exceptions import FieldDoesNotExist, FieldError, ValidationError
from django.core.management.base import CommandError
from django.db.models import BooleanField, DateField, DateTimeField, Field, Model, Q
from django.db.models.constants import LOOKUP_SEP
from django.utils import timezone

from django_runbook.document.similar_names import suggestion
from django_runbook.wording import choose_from

_TRUTHS = {"true": True, "false": False}


def parse_model(text: str) -> type[Model]:
    """Return the model ``sessions.Session``."""
    try:
        return apps.get_model(text)
    except (LookupError, ValueError) as error:
        names = [known._meta.label for known in apps.get_models()]
        hint = suggestion(text, names) or "pass APP.MODEL, for example sessions.Session"
        raise ArgumentTypeError(f'unknown model "{text}"; {hint}') from error


def older_than(kind: type[Model], name: str, *, age: timedelta, now: datetime) -> Q:
    """Match rows whose date or time is older than an age; rows without a value do not match."""
    field = _field(kind, name)
    before = now - age
    if isinstance(field, DateTimeField):
        return Q(**{f"{name}__lt": before})
    if isinstance(field, DateField):
        return Q(**{f"{name}__lt": timezone.localdate(before) if timezone.is_aware(before) else before.date()})
    raise CommandError(f"{kind._meta.label}.{name} is not a date or time, so it cannot be the age of a row")


def where(kind: type[Model], text: str) -> Q:
    """Parse ``state=done`` or another Django lookup, such as ``owner__is_active=false`` or ``kind__in=a,b``."""
    name, is_given, value = text.partition("=")
    if not is_given or not name:
        raise CommandError(f'"{text}" is not a condition (example: state=done)')
    condition = Q(**{name: _value(kind, name.split(LOOKUP_SEP), value)})
    try:
        kind._base_manager.filter(condition)
    except (FieldError, ValidationError, ValueError, TypeError) as error:
        reason = " ".join(error.messages) if isinstance(error, ValidationError) else str(error)
        raise CommandError(f'"{text}" is not a valid condition for {kind._meta.label}: {reason}') from error
    return condition


def _value(kind: type[Model], parts: list[str], text: str) -> Any:
    field, *lookups = _follow(kind, parts)
    is_truth = isinstance(field, BooleanField) and not lookups
    if (is_truth or lookups == ["isnull"]) and text.lower() in _TRUTHS:
        return _TRUTHS[text.lower()]
    return text.split(",") if lookups == ["in"] else text


def _follow(kind: type[Model], parts: list[str]) -> list[Any]:
    """Return the field at the end of a path and the lookups after it."""
    name, *rest = parts
    field = _field(kind, name)
    related: Any = field.related_model
    if rest and related is not None and rest[0] in {"pk", *(known.name for known in related._meta.get_fields())}:
        return _follow(related, rest)
    return [field, *rest]


def _field(kind: type[Model], name: str) -> Field[Any, Any]:
    label = kind._meta.label
    if LOOKUP_SEP in name:
        raise CommandError(f'"{name}" is not a field of {label} itself')
    try:
        field: Any = kind._meta.pk if name == "pk" else kind._meta.get_field(name)
    except FieldDoesNotExist as error:
        hint = suggestion(name, _names(kind)) or choose_from(_names(kind))
        raise CommandError(f'{label} has no field "{name}"; {hint}') from error
    if not getattr(field, "concrete", False) or field.many_to_many:
        raise CommandError(f"{label}.{name} is not a column of {label}: a row could match several times")
    return field  # type: ignore[no-any-return]  # checked above


def _names(kind: type[Model]) -> list[str]:
    return [field.name for field in kind._meta.get_fields() if field.concrete and not field.many_to_many]
