"""The records of a file to spans, and positions in the file to cursors.

A cursor is a line number, the checksum of the file up to there, and those of the few records that follow, each alone:
what failed is done later by its number, once it is mended, and what follows it tells whether it is still the same line.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice, pairwise, takewhile
from operator import attrgetter
from pathlib import Path
from typing import Any, Final

from django.core.management.base import CommandError

from django_runbook.batch.core.error_kinds import Failure, ItemError
from django_runbook.batch.core.work import Outcome, Span
from django_runbook.batch.sources.records import Format, Record, read_records

Work = Callable[[Sequence[Any]], "Done"]
Parse = Callable[[Any], Any]
# Those of records, in their order; None for the end of the file.
Checksums = Sequence[int | None]

_FOLLOWER_COUNT: Final = 10
_MISPLACED: Final = (
    "not done, since other lines follow it than when it failed, so that it may be another one itself: "
    "mend a bad line in its place, and delete or insert none"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What came of a batch of values: ``count`` were done, ``seen_count`` gone through; ``error`` met the next one."""

    count: int
    seen_count: int
    error: Exception | None = None


class _Reading:
    """The records of a file in turn; those that follow the ones taken last are known in advance."""

    def __init__(self, records: Generator[Record, None, None]) -> None:
        self.records = records
        self._known: list[Record] = []
        self._taken_count = 0

    def take(self, count: int) -> list[Record]:
        """The next so many, fewer at the end."""
        ahead = self._known[self._taken_count :]
        ahead += islice(self.records, max(0, count + _FOLLOWER_COUNT - len(ahead)))
        self._known = ahead
        self._taken_count = min(count, len(ahead))
        return ahead[: self._taken_count]

    def followers(self, record: Record) -> Checksums:
        """What follows one of those that were taken last."""
        start = bisect_right(self._known, record.line, key=attrgetter("line"))
        return _checksums(self._known[start : start + _FOLLOWER_COUNT], _FOLLOWER_COUNT)


class FileSource:
    """Reads a file once, from the start to the end; ``work`` is given the values of a span.

    From the first record on the file is open, up to its end or `close`.
    """

    def __init__(self, path: Path, *, file_format: Format, parse: Parse, work: Work) -> None:
        self._path = path
        self._format = file_format
        self._parse = parse
        self._work = work
        self._reading = _Reading(read_records(path, file_format=file_format))
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
        items = self._reading.take(size)
        if not items:
            return None
        high = self._cursor_of(items[-1])
        self._cursor = high
        return Span(low=after, high=high, count=len(items), items=items)

    def split(self, span: Span, error: ItemError | None) -> Sequence[Span]:
        """The span around the record that failed, or in halves."""
        cuts = [error.index, error.index + 1] if error is not None else [len(span.items) // 2]
        edges = sorted({0, *cuts, len(span.items)})
        pieces = [span.items[first:end] for first, end in pairwise(edges)]
        highs = [*(self._cursor_of(piece[-1]) for piece in pieces[:-1]), span.high]
        return [
            Span(low=low, high=high, count=len(piece), items=piece)
            for low, high, piece in zip([span.low, *highs], highs, pieces, strict=False)
        ]

    def process(self, span: Span) -> Outcome:
        """Do the records of a span; those whose line is wrong are failures, whatever the work does."""
        good: list[tuple[int, Any]] = []
        failures: list[Failure] = []
        for index, record in enumerate(span.items):
            value, problem = self._parsed(record)
            if problem:
                failures.append(Failure(key=self._cursor_in(span, index), name=self._name(record), error=problem))
            else:
                good.append((index, value))
        done = self._work([value for _, value in good])
        if done.error is not None:
            index = good[done.seen_count][0]
            before = self._cursor_in(span, index - 1) if index else span.low
            raise ItemError(before=before, key=self._cursor_in(span, index), index=index) from done.error
        if done.seen_count == len(good):
            return Outcome(high=span.high, done_count=done.count, failures=tuple(failures))
        # A wish to stop came in the middle: what is wrong behind that is for the next run.
        high = self._cursor_in(span, good[done.seen_count - 1][0])
        seen = tuple(failure for failure in failures if line_of(failure.key) < line_of(high))
        return Outcome(high=high, done_count=done.count, failures=seen)

    def find(self, cursors: Sequence[str]) -> Iterator[Span]:
        """The records that are now at these lines; where it may be another one than before, that is its problem."""
        wanted = {line_of(cursor): cursor for cursor in cursors}
        last = max(wanted, default=0)
        in_place = self._in_place(wanted, last=last)
        self._begin()
        for record, *followers in _windows(self._reading.records):
            if record.line > last:
                break
            if record.line in in_place:
                # Those that follow may have been mended, and are to be known when it fails again.
                key = json.dumps([record.line, record.checksum, *_checksums(followers, _FOLLOWER_COUNT)])
                yield Span(low="", high=wanted[record.line], count=1, items=[record], is_alone=True, next_key=key)
            elif record.line in wanted:
                item = replace(record, problem=_MISPLACED)
                yield Span(low="", high=wanted[record.line], count=1, items=[item], is_alone=True)

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
        self._reading.records.close()

    def _begin(self) -> None:
        self.close()
        self._reading = _Reading(read_records(self._path, file_format=self._format))

    def _cursor_of(self, record: Record) -> str:
        return json.dumps([record.line, record.checksum, *self._reading.followers(record)])

    def _cursor_in(self, span: Span, index: int) -> str:
        return span.high if index == len(span.items) - 1 else self._cursor_of(span.items[index])

    def _in_place(self, wanted: Mapping[int, str], *, last: int) -> set[int]:
        """The lines that surely are those that failed, mended or not."""
        self._begin()
        windows = takewhile(lambda window: window[0].line <= last, _windows(self._reading.records))
        places = [
            (record.line, followers[0].line if followers else 0, _is_in_place(wanted, record, followers))
            for record, *followers in windows
            if record.line in wanted
        ]
        found: set[int] = set()
        # All of a block of bad lines may have been mended: what follows the last of them speaks for those before.
        for line, next_line, is_certain in reversed(places):
            if is_certain or next_line in found:
                found.add(line)
        return found

    def _seek(self, cursor: str) -> None:
        """Read up to a cursor, and make sure that it is the file which the cursor was made in."""
        self._begin()
        self._cursor = cursor
        if not cursor:
            return
        line, checksum, *_ = json.loads(cursor)
        for record in self._reading.records:
            if record.line >= line:
                break
        else:
            record = Record(line=0, checksum=0)
        if (record.line, record.checksum) != (line, checksum):
            raise CommandError(
                f"{self._path} is another file than before: its first {line:,} lines, which are done, have "
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


def _checksums(records: Iterable[Record], count: int) -> Checksums:
    found: list[int | None] = [record.own_checksum for record in islice(records, count)]
    return found if len(found) == count else [*found, None]


def _windows(records: Iterator[Record]) -> Iterator[Sequence[Record]]:
    """Each record with those that follow it, fewer at the end."""
    window = deque(islice(records, 1 + _FOLLOWER_COUNT))
    while window:
        yield window
        window.popleft()
        window.extend(islice(records, 1))


def _is_in_place(wanted: Mapping[int, str], record: Record, followers: Sequence[Record]) -> bool:
    """Whether a line is the one that failed: most of what followed it does so still, besides lines that failed too."""
    _, checksum, *then = json.loads(wanted[record.line])
    if record.checksum == checksum:
        return True
    now = _checksums(followers, _FOLLOWER_COUNT)
    if set(now) == {record.own_checksum}:
        # Among nothing but its like nobody can tell one from another.
        return False
    lines = [*(one.line for one in followers), 0]
    are_same: list[bool] = [
        before == after
        for before, after, line in zip(then, now, lines, strict=False)
        # Where the file ended, it may have grown.
        if line not in wanted and (before is not None or after is None)
    ]
    # Others may have been mended and done since.
    return sum(are_same) > len(are_same) / 2
