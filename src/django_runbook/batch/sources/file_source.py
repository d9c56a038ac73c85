"""Splits a file into ranges of records.

A cursor is a line number, the checksum of the file up to there, and the checksum of each of the next records. A failed
line is retried by its number after it has been fixed; the next records show whether it is still the same line.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from itertools import islice, pairwise, takewhile
from operator import attrgetter
from pathlib import Path
from typing import Any, Final

from django.core.management.base import CommandError

from django_runbook.batch.core.error_kinds import ItemError, RowFailure
from django_runbook.batch.core.work import BatchOutcome, KeyRange, ShardRange
from django_runbook.batch.sources.record_counts import RecordCount, count_records
from django_runbook.batch.sources.records import Format, Record, read_records
from django_runbook.structs import Struct, replace

Work = Callable[[Sequence[Any]], "ValuesOutcome"]
Parse = Callable[[Any], Any]
# Checksums of consecutive records; None is the end of the file.
Checksums = Sequence[int | None]

_FOLLOWER_COUNT: Final = 10
_MISPLACED: Final = (
    "not retried: the lines after it have changed since it failed, so it may be a different line; "
    "fix bad lines in place, and do not add or delete lines"
)


class ValuesOutcome(Struct):
    """Counts the processed values of a batch; ``error`` is that of the value after ``seen_count`` visited ones."""

    done_count: int
    seen_count: int
    error: Exception | None = None


class _RecordReader:
    """Reads records ahead, so that the followers of the latest records are known."""

    def __init__(self, records: Generator[Record, None, None]) -> None:
        self.records = records
        self._known: list[Record] = []
        self._taken_count = 0

    def take(self, count: int) -> list[Record]:
        """Return the next ``count`` records, fewer at the end."""
        ahead = self._known[self._taken_count :]
        ahead += islice(self.records, max(0, count + _FOLLOWER_COUNT - len(ahead)))
        self._known = ahead
        self._taken_count = min(count, len(ahead))
        return ahead[: self._taken_count]

    def followers(self, record: Record) -> Checksums:
        """Return the checksums after one of the latest records."""
        start = bisect_right(self._known, record.line, key=attrgetter("line"))
        return _checksums(self._known[start : start + _FOLLOWER_COUNT], _FOLLOWER_COUNT)


class FileSource:
    """Reads a file once from start to end, and passes the values of each range to ``work``.

    The file is open from the first record until its end or `close`.
    """

    def __init__(self, path: Path, *, file_format: Format, parse: Parse, work: Work) -> None:
        self._path = path
        self._format = file_format
        self._parse = parse
        self._work = work
        self._reading = _RecordReader(read_records(path, file_format=file_format))
        self._cursor = ""

    def last(self) -> str:
        """Return an empty cursor: the last line is unknown before the file has been read."""
        return ""

    def count(self, *, after: str, upto: str) -> int | None:
        """Return None: the count is unknown before the file has been read."""
        return None

    def estimate(self, *, after: str) -> RecordCount:
        """Count the records after a cursor, in a bounded part of the file."""
        return count_records(self._path, file_format=self._format, after_line=line_of(after) if after else 0)

    def next_range(self, *, after: str, upto: str, size: int) -> KeyRange | None:
        """Read the next records, which the range holds in memory."""
        if after != self._cursor:
            self._seek(after)
        items = self._reading.take(size)
        if not items:
            return None
        high = self._cursor_of(items[-1])
        self._cursor = high
        return KeyRange(low=after, high=high, count=len(items), items=items)

    def split(self, key_range: KeyRange, error: ItemError | None) -> Sequence[KeyRange]:
        """Split a range around its failed record or in halves."""
        cuts = [error.index, error.index + 1] if error is not None else [len(key_range.items) // 2]
        edges = sorted({0, *cuts, len(key_range.items)})
        pieces = [key_range.items[first:end] for first, end in pairwise(edges)]
        highs = [*(self._cursor_of(piece[-1]) for piece in pieces[:-1]), key_range.high]
        return [
            KeyRange(low=low, high=high, count=len(piece), items=piece)
            for low, high, piece in zip([key_range.low, *highs], highs, pieces, strict=False)
        ]

    def process(self, key_range: KeyRange) -> BatchOutcome:
        """Process the records of a range; invalid lines are failures, whatever the work does."""
        # The valid records by their indices, and their values.
        good: list[int] = []
        values: list[Any] = []
        failures: list[RowFailure] = []
        parse = self._parse
        for index, record in enumerate(key_range.items):
            problem = record.problem
            if not problem:
                try:
                    values.append(parse(record.value))
                except KeyError as error:
                    problem = f"no column {error}"
                except ValueError as error:
                    problem = str(error)
                else:
                    good.append(index)
                    continue
            key = self._cursor_in(key_range, index)
            failures.append(RowFailure(key=key, name=f"{self._path}:{record.line}", error=problem))
        outcome = self._work(values)
        if outcome.error is not None:
            index = good[outcome.seen_count]
            before = self._cursor_in(key_range, index - 1) if index else key_range.low
            raise ItemError(before=before, key=self._cursor_in(key_range, index), index=index) from outcome.error
        if outcome.seen_count == len(good):
            return BatchOutcome(high=key_range.high, done_count=outcome.done_count, failures=tuple(failures))
        # After a stop, invalid lines further on are left for the next run.
        high = self._cursor_in(key_range, good[outcome.seen_count - 1])
        seen = tuple(failure for failure in failures if line_of(failure.key) < line_of(high))
        return BatchOutcome(high=high, done_count=outcome.done_count, failures=seen)

    def find(self, cursors: Sequence[str]) -> Iterator[KeyRange]:
        """Yield the records at these lines; one that may be a different record than before gets that as its problem."""
        wanted = {line_of(cursor): cursor for cursor in cursors}
        last = max(wanted, default=0)
        in_place = self._in_place(wanted, last=last)
        self._begin()
        for record, *followers in _windows(self._reading.records):
            if record.line > last:
                break
            if record.line in in_place:
                # The next lines may have been fixed; the new key allows to find the record if it fails again.
                key = json.dumps([record.line, record.checksum, *_checksums(followers, _FOLLOWER_COUNT)])
                yield KeyRange(low="", high=wanted[record.line], count=1, items=[record], is_alone=True, next_key=key)
            elif record.line in wanted:
                item = replace(record, problem=_MISPLACED)
                yield KeyRange(low="", high=wanted[record.line], count=1, items=[item], is_alone=True)

    def has_remaining(self, *, after: str, upto: str, without: Sequence[str]) -> bool:
        """Return False: a file is read to its end."""
        return False

    def name(self, key_range: KeyRange) -> str:
        """Return ``flights.csv:17``, or the first and last line."""
        if key_range.count == 1:
            return f"{self._path}:{line_of(key_range.high)}"
        return f"{self._path}:{line_of(key_range.low) + 1 if key_range.low else 1}-{line_of(key_range.high)}"

    def shard_bounds(self, count: int) -> list[ShardRange]:
        """Raise an error: a file is read by one process."""
        raise NotImplementedError("a file has no shards")

    def close(self) -> None:
        """Close the file."""
        self._reading.records.close()

    def _begin(self) -> None:
        self.close()
        self._reading = _RecordReader(read_records(self._path, file_format=self._format))

    def _cursor_of(self, record: Record) -> str:
        return json.dumps([record.line, record.checksum, *self._reading.followers(record)])

    def _cursor_in(self, key_range: KeyRange, index: int) -> str:
        return key_range.high if index == len(key_range.items) - 1 else self._cursor_of(key_range.items[index])

    def _in_place(self, wanted: Mapping[int, str], *, last: int) -> set[int]:
        """Return the lines that are certainly the failed ones, fixed or not."""
        self._begin()
        windows = takewhile(lambda window: window[0].line <= last, _windows(self._reading.records))
        places = [
            (record.line, followers[0].line if followers else 0, _is_in_place(wanted, record, followers))
            for record, *followers in windows
            if record.line in wanted
        ]
        found: set[int] = set()
        # A whole block of bad lines may have been fixed; the lines after the last of them confirm the ones before.
        for line, next_line, is_certain in reversed(places):
            if is_certain or next_line in found:
                found.add(line)
        return found

    def _seek(self, cursor: str) -> None:
        """Read up to a cursor; raises CommandError if the file has changed there."""
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
                f"{self._path} has changed: its first {line:,} lines, which have been processed, are different; "
                "start over with --restart"
            )


def line_of(cursor: str) -> int:
    """Return the line number of a cursor."""
    return int(json.loads(cursor)[0])


def _checksums(records: Iterable[Record], count: int) -> Checksums:
    found: list[int | None] = [record.own_checksum for record in islice(records, count)]
    return found if len(found) == count else [*found, None]


def _windows(records: Iterator[Record]) -> Iterator[Sequence[Record]]:
    """Yield each record with its followers, fewer at the end."""
    window = deque(islice(records, 1 + _FOLLOWER_COUNT))
    while window:
        yield window
        window.popleft()
        window.extend(islice(records, 1))


def _is_in_place(wanted: Mapping[int, str], record: Record, followers: Sequence[Record]) -> bool:
    """Return whether a line is the failed one: most of its followers are unchanged, not counting other failed lines."""
    _, checksum, *then = json.loads(wanted[record.line])
    if record.checksum == checksum:
        return True
    now = _checksums(followers, _FOLLOWER_COUNT)
    if set(now) == {record.own_checksum}:
        # Identical lines cannot be distinguished.
        return False
    lines = [*(one.line for one in followers), 0]
    are_same: list[bool] = [
        before == after
        for before, after, line in zip(then, now, lines, strict=False)
        # At the former end, the file may have grown.
        if line not in wanted and (before is not None or after is None)
    ]
    # Other lines may have been fixed and processed since.
    return sum(are_same) > len(are_same) / 2
