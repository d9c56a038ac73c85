"""Writes suggested values in a form that fits their place in a file."""

from __future__ import annotations

import re
import shlex
from typing import Final

from django_runbook.document.syntax.quoting import quoted

_PLAIN: Final = re.compile(r"[\w./@+-]+")


def as_scalar(text: str) -> str:
    """Write a value as a scalar of YAML, in quotes if it needs them."""
    return text if _PLAIN.fullmatch(text) else quoted(text)


def as_word(text: str) -> str:
    """Write a value as one word of a command line."""
    return shlex.quote(text)
