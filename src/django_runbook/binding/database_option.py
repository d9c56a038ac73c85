"""Reads the option ``--database`` of bound commands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from django.db import DEFAULT_DB_ALIAS

_FLAG: Final = "--database"


def database_of(tokens: Sequence[str]) -> str:
    """Return the alias that ``--database`` selects, the default without one; the last one counts, as for argparse."""
    alias = DEFAULT_DB_ALIAS
    for before, token in zip(("", *tokens), tokens, strict=False):
        if before == _FLAG:
            alias = token
        elif token.startswith(f"{_FLAG}="):
            # A slice keeps what is unknown in a partial text.
            alias = token[len(_FLAG) + 1 :]
    return alias
