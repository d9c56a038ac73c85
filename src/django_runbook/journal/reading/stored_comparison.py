"""Reads what a run stored about its comparison with earlier ones: what it usually takes, and what was unusual."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from django_runbook import structs
from django_runbook.structs import Struct

# Anybody may have edited the rows of the history.
UNREADABLE: Final = "what the run stored cannot be read"


class StoredForecast(Struct):
    """Holds what a run usually takes, by its history when it started."""

    seconds: float
    most_seconds: float
    run_count: int


class StoredNotice(Struct):
    """Holds what was unusual about a step."""

    step_id: str
    kind: str
    text: str


def forecast_of(stored: object) -> StoredForecast | None:
    """Return the stored forecast; None without one, or if it cannot be read."""
    try:
        return structs.of_plain(StoredForecast, stored)
    except ValueError:
        return None


def notices_of(stored: object) -> list[tuple[str, str]]:
    """Return the steps that were unusual, each with the reason; a value that cannot be read is a reason as well."""
    if not isinstance(stored, Sequence) or isinstance(stored, str):
        return [] if stored is None else [("unusual", UNREADABLE)]
    return [_notice(one) for one in stored]


def _notice(stored: object) -> tuple[str, str]:
    try:
        notice = structs.of_plain(StoredNotice, stored)
    except ValueError:
        return "unusual", UNREADABLE
    return notice.step_id, notice.text
