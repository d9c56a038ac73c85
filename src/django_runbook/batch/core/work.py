"""What there is to do, cut into spans, whatever it is: rows of a table or records of a file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from django_runbook.batch.core.error_kinds import Failure, ItemError


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """The work that comes after the cursor ``low``, up to and with ``high``; ``items`` where it is in memory already.

    With ``is_alone`` it is the one piece at ``high``, wherever ``low`` is; ``next_key`` is what it is found by from now
    on, where that is not ``high``.
    """

    low: str
    high: str
    count: int
    items: Sequence[Any] = ()
    is_alone: bool = False
    next_key: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What was done of a span: up to and with ``high``, which lies before the span's own after a wish to stop.

    ``seen_count`` is how many rows were gone through, done or not; None for as many as the span counts.
    """

    high: str
    done_count: int
    failures: tuple[Failure, ...] = ()
    seen_count: int | None = None


class Source(Protocol):
    """Where the work comes from. Cursors are text that only a source can read; the empty one stands before all work."""

    def last(self) -> str:
        """The cursor of the last piece of work there is now; empty where that is not known, or there is none."""

    def count(self, *, after: str, upto: str) -> int | None:
        """How much there is, for people; None where it cannot be said."""

    def next_span(self, *, after: str, upto: str, size: int) -> Span | None:
        """The next so many pieces of work, fewer at the end; None where there are none."""

    def split(self, span: Span, error: ItemError | None) -> Sequence[Span]:
        """The same span in pieces: around the item that failed where it is known, else in halves."""

    def process(self, span: Span) -> Outcome:
        """Do the work of a span."""

    def find(self, cursors: Sequence[str]) -> Iterator[Span]:
        """The pieces of work at these cursors, each alone; none for what is not there any more."""

    def are_left(self, *, after: str, upto: str, without: Sequence[str]) -> bool:
        """Whether there is work left, besides what could not be done."""

    def name(self, span: Span) -> str:
        """What the span holds, for people."""

    def shard_bounds(self, count: int) -> list[tuple[str, str]]:
        """The start and the end of so many parts of about the same size, which together hold all once."""

    def close(self) -> None:
        """Let go of what is open; the source is not used after that."""
