"""The records of a file to spans, and positions in the file to cursors."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from django_runbook.batch.errors import Failure, ItemError
from django_runbook.batch.records import Format, Record, read_records
from django_runbook.batch.spans import Outcome, Span

Work = Callable[[Sequence[Any]], "Done"]
Parse = Callable[[Any], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What came of a batch of values: ``count`` were done, ``seen_count`` gone through; ``error`` met the next one."""

    count: int
    seen_count: int
    error: Exception | None = None


class FileSource:
    """Reads a file once, from the start to the end; ``work`` is given the values of a span.

    From the first record on the file is open, up to its end or `close`.
    """

    def __init__(self, path: Path, *, file_format: Format, parse: Parse, work: Work) -> None:
        self._path = path
        self._format = file_format
        self._parse = parse
        self._work = work
        self._records = read_records(path, file_format=file_format)
        self._cursor = ""

    def last(self) -> str:
        """Not known before the file has been read."""
        return ""

    def count(self, *, after: str, upto: str) -> int | None:
        """Not known before the file has been read."""
        return None

    def next_span(self, *, after: str, upto: str, size: int) -> Span | None:
        """The next records; they are kept as long as their batch."""
        if after != self._cursor:
            self._seek(after)
        items = list(islice(self._records, size))
        if not items:
            return None
        high = _cursor(items[-1])
        self._cursor = high
        return Span(low=after, high=high, count=len(items), items=items)

    def split(self, span: Span, error: ItemError | None) -> Sequence[Span]:
        """The span around the record that failed, or in halves."""
        cuts = [error.index, error.index + 1] if error is not None else [len(span.items) // 2]
        edges = sorted({0, *cuts, len(span.items)})
        pieces = [span.items[first:end] for first, end in pairwise(edges)]
        lows = [span.low, *(_cursor(piece[-1]) for piece in pieces[:-1])]
        return [
            Span(low=low, high=_cursor(piece[-1]), count=len(piece), items=piece)
            for low, piece in zip(lows, pieces, strict=True)
        ]

    def process(self, span: Span) -> Outcome:
        """Do the records of a span; those whose line is wrong are failures, whatever the work does."""
        good: list[tuple[Record, Any]] = []
        failures: list[Failure] = []
        for record in span.items:
            value, problem = self._parsed(record)
            if problem:
                failures.append(Failure(key=_cursor(record), name=self._name(record), error=problem))
            else:
                good.append((record, value))
        done = self._work([value for _, value in good])
        if done.error is not None:
            index = span.items.index(good[done.seen_count][0])
            before = _cursor(span.items[index - 1]) if index else span.low
            raise ItemError(before=before, key=_cursor(span.items[index]), index=index) from done.error
        if done.seen_count == len(good):
            return Outcome(high=span.high, done_count=done.count, failures=tuple(failures))
        # A wish to stop came in the middle: what is wrong behind that is for the next run.
        last = good[done.seen_count - 1][0]
        seen = tuple(failure for failure in failures if line_of(failure.key) < last.line)
        return Outcome(high=_cursor(last), done_count=done.count, failures=seen)

    def find(self, cursors: Sequence[str]) -> Iterator[Span]:
        """The records that are now at these lines."""
        wanted = {line_of(cursor): cursor for cursor in cursors}
        self._begin()
        for record in self._records:
            if record.line in wanted:
                yield Span(low="", high=wanted[record.line], count=1, items=[record], is_alone=True)

    def are_left(self, *, after: str, upto: str, without: Sequence[str]) -> bool:
        """A file has been read to its end when it has been read."""
        return False

    def name(self, span: Span) -> str:
        """``flights.csv:17``, or the first and the last line."""
        if span.count == 1:
            return f"{self._path}:{line_of(span.high)}"
        return f"{self._path}:{line_of(span.low) + 1 if span.low else 1}-{line_of(span.high)}"

    def shard_bounds(self, count: int) -> list[tuple[str, str]]:
        """A file is read by one process."""
        raise NotImplementedError("a file has no shards")

    def close(self) -> None:
        """Close the file."""
        self._records.close()

    def _begin(self) -> None:
        self.close()
        self._records = read_records(self._path, file_format=self._format)

    def _seek(self, cursor: str) -> None:
        """Read up to a cursor, and make sure that it is the file which the cursor was made in."""
        self._begin()
        self._cursor = cursor
        if not cursor:
            return
        for record in self._records:
            if record.line >= line_of(cursor):
                break
        else:
            record = Record(line=0, checksum=0)
        if _cursor(record) != cursor:
            raise CommandError(
                f"{self._path} is another file than before: its first {line_of(cursor):,} lines, which are done, have "
                "changed; --restart begins anew"
            )

    def _parsed(self, record: Record) -> tuple[Any, str]:
        if record.problem:
            return None, record.problem
        try:
            return self._parse(record.value), ""
        except KeyError as error:
            return None, f"no column {error}"
        except ValueError as error:
            return None, str(error)

    def _name(self, record: Record) -> str:
        return f"{self._path}:{record.line}"


def line_of(cursor: str) -> int:
    """The number of the line that a cursor stands for."""
    return int(json.loads(cursor)[0])


def _cursor(record: Record) -> str:
    return json.dumps([record.line, record.checksum])
