"""Resolves the names of exceptions in ``errors`` and ``continue_on_error`` to their classes."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from functools import cache
from typing import Final

from django_runbook.document.diagnostics import Diagnostic, diagnose
from django_runbook.document.runbook import Step
from django_runbook.document.similar_names import nearest
from django_runbook.wording import did_you_mean, one_after_another

# The modules in which a bare name is looked up; other exceptions are named with their module.
HOMES: Final = (
    "builtins",
    "django.core.exceptions",
    "django.core.management",
    "django.db",
    "django.db.transaction",
    "django_runbook.exceptions",
)


def check_names(step: Step) -> Iterator[Diagnostic]:
    """Report the names of exceptions that cannot be imported."""
    retried = step.retry.errors if step.retry is not None else None
    allowed = () if isinstance(step.continue_on_error, bool) else step.continue_on_error
    for key, names in (("errors", retried or ()), ("continue_on_error", allowed)):
        for name in names:
            if isinstance(name, str) and find(name) is None:
                message = f'"{key}" names the exception "{name}", which cannot be imported'
                span = step.error_spans.get((key, name), step.span)
                yield diagnose("RB417", message=message, span=span, help_text=_help(name))


@cache
def find(name: str) -> type[BaseException] | None:
    """Return the exception class of this name, bare or with its module; None if there is none."""
    if "." not in name:
        found = (getattr(importlib.import_module(home), name, None) for home in HOMES)
        return next((kind for kind in found if _is_exception(kind)), None)
    parts = name.split(".")
    for count in range(len(parts) - 1, 0, -1):
        try:
            value: object = importlib.import_module(".".join(parts[:count]))
        except ImportError:
            continue
        except Exception:  # noqa: BLE001 - a module that fails to import has no names
            return None
        for part in parts[count:]:
            value = getattr(value, part, None)
        return value if _is_exception(value) else None  # type: ignore[return-value]  # checked here
    return None


def qualified(name: str) -> str:
    """Return the name with the module that defines the class, which may differ from the one in the file."""
    kind = find(name) if "." in name else None
    return f"{kind.__module__}.{kind.__qualname__}" if kind is not None else name


def _is_exception(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, BaseException)


def _help(name: str) -> str:
    if "." in name:
        return "check the module and the name of the class"
    known = {
        other for home in HOMES for other, value in vars(importlib.import_module(home)).items() if _is_exception(value)
    }
    near = nearest(name, sorted(known))
    own = 'qualify other exceptions with their module, such as "requests.exceptions.Timeout"'
    return one_after_another(did_you_mean(near), own)
