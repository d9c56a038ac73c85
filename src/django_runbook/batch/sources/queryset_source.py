"""A queryset to spans of its rows along a key, which the database alone compares.

Never by offset: slices of a filter that the work itself shrinks leave rows out, and get slower with each batch.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache, partial
from types import SimpleNamespace
from typing import Any, Final

from django.core.exceptions import FieldDoesNotExist
from django.core.management.base import CommandError
from django.db.models import Expression, Field, Model, QuerySet
from django.db.models.fields.tuple_lookups import (
    Tuple,
    TupleGreaterThan,
    TupleLessThanOrEqual,
)

from django_runbook.batch.core.error_kinds import ItemError
from django_runbook.batch.core.work import Outcome, Span

Rows = QuerySet[Any]
Work = Callable[[Rows, Span], Outcome]
PRIMARY_KEY: Final = ("pk",)


class Key:
    """The columns that rows are taken in the order of: they tell any two rows apart, and none of them is ever NULL."""

    def __init__(self, model: type[Model], names: Sequence[str] = PRIMARY_KEY) -> None:
        self._columns = columns = [_column(model, name) for name in _names(model, names)]
        # The column of a foreign key: its name would order by the table that it points to.
        self.names = tuple("pk" if column is model._meta.pk else column.attname for column in columns)
        self._attnames = tuple(column.attname for column in columns)
        self._fields = tuple(_target(column) for column in columns)
        # Each batch asks for the same few several times.
        self._decoded = lru_cache(maxsize=8)(self._decode)

    @property
    def reverse_names(self) -> tuple[str, ...]:
        """For the order from the last row to the first."""
        return tuple(f"-{name}" for name in self.names)

    def encode(self, values: Sequence[Any]) -> str:
        """The cursor of a row, exact to the last microsecond; raises CommandError for a value that is lost in text."""
        texts = [
            field.value_to_string(SimpleNamespace(**{field.attname: value}))  # type: ignore[arg-type]  # all that is read
            for field, value in zip(self._fields, values, strict=True)
        ]
        cursor = json.dumps(texts)
        if self.decode(cursor) != tuple(values):
            raise CommandError(f"the key {values!r} changes when it is written down as {cursor}: it cannot be a cursor")
        return cursor

    def decode(self, cursor: str) -> tuple[Any, ...]:
        """The values of a cursor."""
        return self._decoded(cursor)

    def _decode(self, cursor: str) -> tuple[Any, ...]:
        return tuple(field.to_python(text) for field, text in zip(self._fields, json.loads(cursor), strict=True))

    def values_of(self, row: Model) -> list[Any]:
        """What a row that has been read has in these columns."""
        return [getattr(row, attname) for attname in self._attnames]

    def loaded(self, rows: Rows) -> Rows:
        """The same rows, which are read with their keys, also where only() or defer() leaves those out."""
        names, is_deferred = rows.query.deferred_loading
        own = {name for field in self._columns for name in (field.name, field.attname)}
        found = rows._chain()  # type: ignore[attr-defined]  # what every method of a queryset begins with
        if names and is_deferred:
            found.query.deferred_loading = (frozenset(names) - own, True)
        elif names:
            found.query.deferred_loading = (frozenset(names) | {field.name for field in self._columns}, False)
        return found  # type: ignore[no-any-return]  # what it is was said above

    def between(self, rows: Rows, after: str, upto: str) -> Rows:
        """The rows beyond a cursor, up to and with another one; an empty one is no limit."""
        tuples: list[Any] = []
        columns: dict[str, Any] = {}
        first = self.names[0]
        # Not every engine finds a range of an index by a comparison of rows, but each does by one of a column.
        if after:
            low = self.decode(after)
            columns[f"{first}__gt" if len(low) == 1 else f"{first}__gte"] = low[0]
            if len(low) > 1:
                tuples.append(TupleGreaterThan(Tuple(*self.names), low))
        if upto:
            high = self.decode(upto)
            columns[f"{first}__lte"] = high[0]
            if len(high) > 1:
                tuples.append(TupleLessThanOrEqual(Tuple(*self.names), high))
        return rows.filter(*tuples, **columns) if columns else rows

    @property
    def single_field(self) -> Field[Any, Any] | None:
        """The field of a key that is one column."""
        return self._fields[0] if len(self._fields) == 1 else None

    def name(self, cursor: str) -> str:
        """A cursor for people."""
        texts = json.loads(cursor)
        return str(texts[0]) if len(texts) == 1 else f"({', '.join(map(str, texts))})"


class _Low(Expression):
    """The value that a search begins behind; it can be moved after the query has been built."""

    def __init__(self, field: Field[Any, Any]) -> None:
        super().__init__(output_field=field)
        # The copies that a query makes share it.
        self._values: list[Any] = [None]

    def move(self, value: Any) -> None:
        """Begin behind another value, in all queries that have been built with it."""
        self._values[0] = value

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, tuple[Any, ...]]:
        """A parameter, as the field writes it."""
        return "%s", (self.output_field.get_db_prep_value(self._values[0], connection),)

    def get_group_by_cols(self) -> list[Any]:
        """None, as for any value."""
        return []


class _Search:
    """Finds the rows between two cursors, anew for each batch.

    Its query is built once, which saves a tenth of what Django needs for a batch that is one statement: the end is the
    same for all batches of a run, and the start is a value that moves. So what it gives is used before the next call.
    """

    def __init__(self, rows: Rows, key: Key) -> None:
        self._key = key
        self._upto = lru_cache(maxsize=1)(partial(key.between, rows, ""))
        self._low = None if key.single_field is None else _Low(key.single_field)
        self._built = lru_cache(maxsize=1)(self._build)

    def __call__(self, after: str, upto: str) -> Rows:
        if self._low is None or not after:
            return self._key.between(self._upto(upto), after, "")
        self._low.move(*self._key.decode(after))
        return self._built(upto)

    def _build(self, upto: str) -> Rows:
        return self._upto(upto).filter(**{f"{self._key.names[0]}__gt": self._low})


class QuerySetSource:
    """Rows of a queryset; ``work`` is given those of a span, re-read in its transaction, in order of the key."""

    def __init__(self, rows: Rows, *, key: Key, work: Work, is_todo: bool = False) -> None:
        _refuse(rows, is_todo=is_todo)
        self.key = key
        self._rows = key.loaded(rows).order_by(*key.names)
        # A queryset that was reversed would stay so.
        self._rows.query.standard_ordering = True
        # Outside of a transaction nothing can be locked.
        searched = self._rows._chain()  # type: ignore[attr-defined]  # what every method of a queryset begins with
        searched.query.select_for_update = False
        self._searched: Rows = searched.values_list(*key.names)
        self._search = _Search(self._searched, key)
        self._work = work
        self._label = rows.model._meta.label

    def last(self) -> str:
        """The cursor of the last row there is now."""
        return self._last(self._searched)

    def count(self, *, after: str, upto: str) -> int | None:
        """How many rows there are."""
        return self._between(self._searched, after, upto).count()

    def next_span(self, *, after: str, upto: str, size: int) -> Span | None:
        """The next rows, found before their transaction: a long search holds no locks."""
        found = self._search(after, upto)
        keys = list(found[size - 1 : size])
        if keys:
            return self._span(after, self.key.encode(keys[0]), size)
        high = self._last(found)
        return self._span(after, high, found.count()) if high else None

    def split(self, span: Span, error: ItemError | None) -> Sequence[Span]:
        """The span around the row that failed, or in halves; itself where there is nothing to split."""
        if error is not None:
            before = Span(low=span.low, high=error.before, count=max(1, error.index))
            row = Span(low=error.before, high=error.key, count=1)
            # Rows may have come into the span since it was counted.
            rest = Span(low=error.key, high=span.high, count=max(1, span.count - error.index - 1))
            return [part for part in (before, row, rest) if part.low != part.high]
        half = self.next_span(after=span.low, upto=span.high, size=max(1, span.count // 2))
        if half is None or half.high == span.high:
            return [Span(low=span.low, high=span.high, count=1)]
        return [half, Span(low=half.high, high=span.high, count=max(1, span.count - half.count))]

    def process(self, span: Span) -> Outcome:
        """Do the rows of a span."""
        if span.is_alone:
            values = dict(zip(self.key.names, self.key.decode(span.high), strict=True))
            rows = self._rows.filter(**values)
            # The one row that is asked for is waited for.
            rows.query.select_for_update_skip_locked = False
            return self._work(rows, span) if rows.exists() else Outcome(high=span.high, done_count=0)
        return self._work(self._between(self._rows, span.low, span.high), span)

    def find(self, cursors: Sequence[str]) -> Iterator[Span]:
        """The rows with these keys, whether they are there will be seen when they are done."""
        return (Span(low="", high=cursor, count=1, is_alone=True) for cursor in cursors)

    def are_left(self, *, after: str, upto: str, without: Sequence[str]) -> bool:
        """Whether rows are left, besides those that could not be done."""
        # No condition for each: an engine takes so many of them, and a share of all rows may have failed.
        failed = frozenset(without)
        left = self._between(self._searched, after, upto)
        if len(left.query.alias_map) > 1:
            # A join can give a row several times.
            left = left.distinct()
        return any(self.key.encode(values) not in failed for values in left[: len(failed) + 1])

    def name(self, span: Span) -> str:
        """``flights.Flight 17``, or the first and the last of several."""
        high = self.key.name(span.high)
        if span.count == 1:
            return f"{self._label} {high}"
        return f"{self._label} {f'after {self.key.name(span.low)} ' if span.low else ''}up to {high}"

    def shard_bounds(self, count: int) -> list[tuple[str, str]]:
        """The start and the end of so many parts of about the same size, which together hold every row once."""
        total = self._searched.count()
        indexes = [total * number // count - 1 for number in range(1, count) if total * number // count]
        # Rows may have been deleted since they were counted.
        ends = [end for index in indexes for end in self._searched[index : index + 1]]
        cuts = list(dict.fromkeys(self.key.encode(end) for end in ends))
        # With fewer rows than shards the last ones have nothing to do.
        last = self.last()
        cuts += [cuts[-1] if cuts else last] * (count - 1 - len(cuts))
        return list(zip(["", *cuts], [*cuts, last], strict=True))

    def close(self) -> None:
        """Nothing is open between two spans."""

    def _between(self, rows: Rows, after: str, upto: str) -> Rows:
        return self.key.between(rows, after, upto)

    def _last(self, rows: Rows) -> str:
        keys = list(rows.order_by(*self.key.reverse_names)[:1])
        return self.key.encode(keys[0]) if keys else ""

    def _span(self, low: str, high: str, count: int) -> Span:
        if high == low:
            raise CommandError(
                f"the database finds {high} after itself: {self._label} cannot be gone through by this key"
            )
        return Span(low=low, high=high, count=count)


def _names(model: type[Model], names: Sequence[str]) -> tuple[str, ...]:
    primary = tuple(field.name for field in getattr(model._meta, "pk_fields", ()))
    if len(primary) < 2:
        primary = PRIMARY_KEY
    flat = [name for given in names for name in (primary if given == "pk" else (given,))]
    # Rows that other columns do not tell apart are told apart by the primary key.
    return tuple(dict.fromkeys([*flat, *primary]))


def _column(model: type[Model], name: str) -> Field[Any, Any]:
    try:
        column: Any = model._meta.pk if name == "pk" else model._meta.get_field(name)
    except FieldDoesNotExist as error:
        raise CommandError(f"{model._meta.label} has no field {name}, which key_fields names") from error
    if not getattr(column, "concrete", False) or column.column is None:
        raise CommandError(f"{model._meta.label}.{name} is no column, and cannot be a key")
    if column.null:
        raise CommandError(
            f"{model._meta.label}.{name} can be NULL: rows without a value would be left out, so it cannot be a key"
        )
    return column  # type: ignore[no-any-return]  # what it is was looked at


def _target(column: Any) -> Field[Any, Any]:
    while column.remote_field:
        # The column of a foreign key holds a value of the field that it points to.
        column = column.target_field
    return column  # type: ignore[no-any-return]  # what it is was looked at


def _refuse(rows: Rows, *, is_todo: bool) -> None:
    query: Any = rows.query
    if query.is_sliced:
        raise CommandError("get_queryset() must not slice: --limit says how many rows are done")
    if query.combinator:
        raise CommandError("get_queryset() must not be a union: a range of keys cannot be taken of it")
    if getattr(rows, "_fields", None) is not None:
        raise CommandError("get_queryset() must give model instances, not values()")
    selected = query.annotation_select.values()
    if query.where.contains_over_clause or any(annotation.contains_over_clause for annotation in selected):
        raise CommandError(
            "get_queryset() must not use a window function, which would see the rows of one batch at a time; "
            "to work on the rows that it finds, filter by their primary keys: filter(pk__in=found)"
        )
    if query.distinct_fields:
        raise CommandError(
            "get_queryset() must not be distinct() by fields, since each batch would have first rows of its own; "
            "to work on the rows that it finds, filter by their primary keys: filter(pk__in=found)"
        )
    if query.select_for_update_skip_locked and not is_todo:
        raise CommandError(
            "get_queryset() must not skip rows that are locked, which would be left out: lock without skip_locked, or "
            "say is_todo = True where rows leave it when they are done, so that a last look finds them"
        )
