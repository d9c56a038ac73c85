"""Finds the secrets in the options of a setting: URLs, and values whose names look like those of secrets."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import urlsplit

_SECRET_NAME: Final = re.compile("secret|pass|token|key|auth|credential|dsn", re.IGNORECASE)
# A shorter part of a URL may be a word that is in any output.
_MIN_PART_LENGTH: Final = 16


def secrets_in(value: object, *, name: str = "") -> Iterator[str]:
    """Yield each secret in a value of plain data."""
    match value:
        case str() if "://" in value:
            yield from _secrets_of_url(value)
        case str() if _SECRET_NAME.search(name) and value:
            yield value
        case Mapping():
            for key, one in value.items():
                yield from secrets_in(one, name=str(key))
        case list() | tuple() | set() | frozenset():
            for one in value:
                yield from secrets_in(one, name=name)


def _secrets_of_url(url: str) -> Iterator[str]:
    """Yield a URL up to its first placeholder, and those of its parts that are too long to be words."""
    url = url.partition("{")[0]
    parts = urlsplit(url)
    if not (parts.path.strip("/") or parts.query or "@" in parts.netloc):
        return
    yield url
    # The place of the host in a URL of apprise holds the token of its service.
    host = parts.hostname if parts.scheme in {"http", "https"} else None
    pieces = re.split(r"[/?&=@:]", url.partition("://")[2])
    yield from (piece for piece in pieces if len(piece) >= _MIN_PART_LENGTH and piece != host)
