"""Loads the backends that settings name, with options of their own."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from django.utils.module_loading import import_string

from django_runbook.document.similar_names import nearest
from django_runbook.exceptions import InvalidUsage
from django_runbook.wording import did_you_mean


def make_backend(
    name: str,
    *,
    setting: str,
    kind: str,
    known: Mapping[str, str],
    options: Mapping[str, object],
    has_auto: bool = True,
    **given: object,
) -> Any:
    """Call the backend with a short name in ``known``, or with this import path; raise InvalidUsage if it is invalid.

    ``setting`` and ``kind``, such as "backend", name it in messages. It receives ``given`` and ``options``. With
    ``has_auto``, "auto" is a short name too.
    """
    factory = _load(name, setting=setting, kind=kind, known=known, has_auto=has_auto)
    try:
        inspect.signature(factory).bind(**given, **options)
    except TypeError as error:
        raise InvalidUsage(f'{setting}: the OPTIONS do not fit "{name}": {error}') from error
    return factory(**given, **options)


def _load(name: str, *, setting: str, kind: str, known: Mapping[str, str], has_auto: bool) -> Callable[..., Any]:
    if "." not in name and name not in known:
        names = ("auto", *known) if has_auto else tuple(known)
        near = nearest(name, names)
        hint = did_you_mean(near) if near else f"choose from {', '.join(names)}, or give an import path"
        raise InvalidUsage(f'{setting}: unknown {kind} "{name}"; {hint}')
    try:
        factory: Callable[..., Any] = import_string(known.get(name, name))
    except ImportError as error:
        raise InvalidUsage(f'{setting}: the {kind} "{name}" cannot be imported: {error}') from error
    if not callable(factory):
        raise InvalidUsage(f'{setting}: the {kind} "{name}" cannot be called')
    return factory
