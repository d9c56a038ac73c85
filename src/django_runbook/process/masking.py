"""Masks secrets in text, however they are quoted or encoded.

The parts of a secret are masked too: each line, each string and long number of a JSON document, the password of a URL,
and the Base64 form of each.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

from django_runbook.cleaning import Mask


def masker(secrets: Iterable[str]) -> Mask:
    """Return a function that replaces secrets in text with ``***``; it prepares itself on its first call."""
    given = tuple(secrets)
    if not given:
        return _nothing
    # Only a run with secrets needs it.
    from django_runbook.process.secret_masker import SecretMasker

    prepared = cache(lambda: SecretMasker(given))

    def mask(text: str) -> str:
        return prepared()(text)

    return mask


def _nothing(text: str) -> str:
    return text
