"""Replaces secrets in stored text with references to them, which only a process that has the secrets can fill in.

An encoded text is a list of strings and of lists with one string: the name of a secret.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Mapping, Sequence
from typing import Final

from django.conf import settings

Encoded = list["str | list[str]"]
_SALT: Final = "django_runbook.queues"


def encode(text: str, secrets: Mapping[str, str]) -> Encoded:
    """Split a text at the values of secrets, longest first, and refer to each by its name."""
    names = {value: name for name, value in secrets.items() if value}
    if not names:
        return [text]
    pattern = re.compile("|".join(map(re.escape, sorted(names, key=len, reverse=True))))
    parts: Encoded = []
    end = 0
    for found in pattern.finditer(text):
        parts += [text[end : found.start()], [names[found[0]]]]
        end = found.end()
    return [*parts, text[end:]]


def decode(parts: Encoded, secrets: Mapping[str, str]) -> str:
    """Fill in the secrets; raise KeyError with the name of one that is absent."""
    return "".join(part if isinstance(part, str) else secrets[part[0]] for part in parts)


def names_in(encoded: Sequence[Encoded]) -> set[str]:
    """Return the names of the secrets that encoded texts refer to."""
    return {part[0] for parts in encoded for part in parts if not isinstance(part, str)}


def digest(texts: Sequence[str]) -> str:
    """Return a digest of texts with secrets, keyed so that short secrets cannot be found by trying."""
    key = hashlib.sha256(f"{_SALT}{settings.SECRET_KEY}".encode()).digest()
    return hmac.new(key, json.dumps(list(texts)).encode(), "sha256").hexdigest()
