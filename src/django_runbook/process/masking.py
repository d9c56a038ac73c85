"""Secrets to a function that takes them out of any text, in each form in which they could get into it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from urllib.parse import quote, quote_plus

from django_runbook.document.inputs import MIN_SECRET_LENGTH

MASK = "***"
Mask = Callable[[str], str]


def masker(secrets: Iterable[str]) -> Mask:
    """A function that puts ``***`` where a secret stands in a text."""
    forms = {form for secret in secrets for form in _forms(secret) if len(form) >= MIN_SECRET_LENGTH}
    if not forms:
        return _nothing
    pattern = re.compile("|".join(re.escape(form) for form in sorted(forms, key=len, reverse=True)))
    return lambda text: pattern.sub(MASK, text)


def _nothing(text: str) -> str:
    return text


def _forms(secret: str) -> Iterator[str]:
    for part in (secret, secret.strip(), *secret.splitlines(), *_leaves_of_json(secret)):
        yield part
        yield part.strip()
        yield repr(part)[1:-1]
        yield json.dumps(part)[1:-1]
        yield json.dumps(part, ensure_ascii=False)[1:-1]
        yield quote(part)
        yield quote(part, safe="")
        yield quote_plus(part)


def _leaves_of_json(secret: str) -> Iterator[str]:
    if not secret.lstrip().startswith(("{", "[")):
        return
    try:
        waiting = [json.loads(secret)]
    except (ValueError, RecursionError):
        return
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
        elif isinstance(value, str):
            yield value
