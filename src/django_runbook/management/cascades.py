"""Counts the rows that Django would delete together with others, by queries that load few of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from django.apps import apps
from django.db import connections, models
from django.db.models import Q, signals
from django.db.models.functions import Cast

from django_runbook.batch.estimates import Cascades
from django_runbook.structs import MutableStruct, Struct, field
from django_runbook.wording import number_of

Count = Callable[[Any], int | None]
# At most this many keys are loaded; for more rows, a subquery finds those that belong to them.
_MAX_KEYS: Final = 500
_MAX_NESTED: Final = 4
_MAX_LEVELS: Final = 50
# Django 6.1 lets the database cascade.
_CASCADES: Final = frozenset(("CASCADE", "DB_CASCADE"))
_REFUSALS: Final = frozenset(("PROTECT", "RESTRICT"))
_KEEPS: Final = frozenset(("SET_NULL", "SET_DEFAULT", "set_on_delete", "DO_NOTHING", "DB_SET_NULL", "DB_SET_DEFAULT"))


def count_cascades(rows: Any, count: Count) -> Cascades:
    """Return the number of rows of each table that goes with these; None for what ``count`` gives up."""
    if type(rows).delete is not models.QuerySet.delete:
        return Cascades(notes=(f"{type(rows).__name__}.delete() is not that of Django",))
    search = _CascadeSearch(count=count)
    search.add(_DeletedRows(rows=rows.order_by(), nested_count=1), is_root=True)
    search.walk()
    return search.result()


class _DeletedRows(Struct):
    """Holds rows of one model that are deleted: by a query, or by their keys if these are few."""

    rows: Any
    nested_count: int
    keys: tuple[Any, ...] | None = None

    @property
    def model(self) -> type[models.Model]:
        return self.rows.model  # type: ignore[no-any-return]  # of a queryset

    def values(self, name: str) -> Any:
        """Return the values of a column, for a condition of other rows."""
        if self.keys is None:
            return self.rows.values(name)
        if name == self.model._meta.pk.attname:
            return list(self.keys)
        return list(self.rows.values_list(name, flat=True))


class _DeletedModel(MutableStruct):
    """Holds the rows of one model that are deleted: those at the start, and those that go with others."""

    root: Any = None
    conditions: list[Q] = field(default_factory=list)
    keys: set[Any] = field(default_factory=set)


class _CascadeSearch(MutableStruct):
    """Follows the relations of deleted rows, level by level."""

    count: Count
    levels: list[_DeletedRows] = field(default_factory=list)
    deleted: dict[type[models.Model], _DeletedModel] = field(default_factory=dict)
    notes: dict[str, None] = field(default_factory=dict)
    refused: list[tuple[Any, type[models.Model], str]] = field(default_factory=list)
    using: str = ""

    def add(self, level: _DeletedRows, *, is_root: bool = False) -> None:
        if is_root:
            self.using = level.rows.db
            self.deleted[_concrete(level.model)] = _DeletedModel(root=level.rows)
        if any(signal.has_listeners(level.model) for signal in (signals.pre_delete, signals.post_delete)):
            self.notes[f"signal receivers of {level.model._meta.label} may delete more"] = None
        self.levels.append(level)

    def walk(self) -> None:
        for _ in range(_MAX_LEVELS):
            if not self.levels:
                return
            levels, self.levels = self.levels, []
            for level in levels:
                self._follow(level)
        self.notes[f"rows deeper than {_MAX_LEVELS} levels are not counted"] = None

    def result(self) -> Cascades:
        found: dict[str, int | None] = {}
        for model, deleted in self.deleted.items():
            if deleted.conditions:
                found[model._meta.db_table] = self._number(model, deleted)
        warnings = (self._refusal(rows, model, kind) for rows, model, kind in self.refused)
        return Cascades(
            counts={table: number for table, number in found.items() if number != 0},
            notes=tuple(self.notes),
            warnings=tuple(filter(None, warnings)),
        )

    def _number(self, model: type[models.Model], deleted: _DeletedModel) -> int | None:
        rows = self._rows(model).filter(_any_of(deleted.conditions))
        return self.count(rows if deleted.root is None else rows.exclude(pk__in=deleted.root.values("pk")))

    def _rows(self, model: type[models.Model]) -> Any:
        return model._base_manager.using(self.using)

    def _follow(self, level: _DeletedRows) -> None:
        for model, condition in self._parents(level):
            self._take(model, condition, level, is_followed=False)
        for relation in _relations_to(level.model):
            self._follow_relation(relation, level)
        for generic in level.model._meta.private_fields:
            if hasattr(generic, "bulk_related_objects"):
                self._follow_generic(generic, level)

    def _parents(self, level: _DeletedRows) -> Iterator[tuple[type[models.Model], Q]]:
        """Yield the rows of the tables that a model with several tables extends."""
        for parent, link in _concrete(level.model)._meta.parents.items():
            if link is not None:
                yield parent, Q(pk__in=level.values(link.attname))

    def _follow_relation(self, relation: Any, level: _DeletedRows) -> None:
        model, column, kind = relation.related_model, relation.field, _kind_of(relation.on_delete)
        if kind in _KEEPS:
            return
        if kind not in _CASCADES | _REFUSALS:
            self.notes[f"what {kind}() of {model._meta.label}.{column.name} deletes is not counted"] = None
            return
        if len(column.foreign_related_fields) != 1:
            self.notes[f"rows of {model._meta.label} are not counted: its key has several columns"] = None
            return
        condition = Q(**{f"{column.name}__in": level.values(column.target_field.attname)})
        if kind in _CASCADES:
            self._take(model, condition, level)
        else:
            self.refused.append((self._rows(model).filter(condition), level.model, kind))

    def _follow_generic(self, generic: Any, level: _DeletedRows) -> None:
        related: Any = generic.remote_field.model
        options = (generic.model._meta.concrete_model if generic.for_concrete_model else generic.model)._meta
        # get_for_model() would insert a missing row.
        content_types: Any = apps.get_model("contenttypes", "ContentType")._default_manager
        kinds = content_types.using(self.using).filter(app_label=options.app_label, model=options.model_name)
        keys, target = level.keys, related._meta.get_field(generic.object_id_field_name)
        if keys is None and isinstance(level.model._meta.pk, models.UUIDField) and not _has_uuids(self.using):
            self.notes[f"rows of {related._meta.label} are not counted: this database stores UUIDs in another form"] = (
                None
            )
            return
        ids: Any = keys
        if keys is None:
            ids = level.rows.annotate(runbook_id=Cast("pk", target)).values("runbook_id")
        condition = Q(
            **{f"{generic.object_id_field_name}__in": ids, f"{generic.content_type_field_name}__in": list(kinds)}
        )
        self._take(related, condition, level)

    def _take(self, model: type[models.Model], condition: Q, level: _DeletedRows, *, is_followed: bool = True) -> None:
        """Add the rows that a condition finds, and follow those that are new."""
        deleted = self.deleted.setdefault(_concrete(model), _DeletedModel())
        rows = self._rows(model).filter(condition)
        number = self.count(rows)
        if number == 0:
            return
        deleted.conditions.append(condition)
        if number is None:
            self.notes[f"what goes with rows of {model._meta.label} takes too long to count"] = None
        elif number <= _MAX_KEYS:
            new = [key for key in rows.values_list("pk", flat=True) if key not in deleted.keys]
            deleted.keys.update(new)
            if new and is_followed:
                found = self._rows(model).filter(pk__in=new)
                self.add(_DeletedRows(rows=found, nested_count=1, keys=tuple(new)))
        elif is_followed and level.nested_count < _MAX_NESTED:
            self.add(_DeletedRows(rows=rows, nested_count=level.nested_count + 1))
        elif is_followed and any(True for _ in _relations_to(model)):
            self.notes[f"what goes with rows of {model._meta.label} is not counted: too many levels"] = None

    def _refusal(self, rows: Any, model: type[models.Model], kind: str) -> str:
        deleted = self.deleted.get(_concrete(rows.model))
        if kind == "RESTRICT" and deleted is not None:
            if deleted.conditions:
                rows = rows.exclude(pk__in=self._rows(rows.model).filter(_any_of(deleted.conditions)).values("pk"))
            if deleted.root is not None:
                rows = rows.exclude(pk__in=deleted.root.values("pk"))
        number = self.count(rows)
        if number == 0:
            return ""
        how_many = "rows" if number is None else number_of(number, "row")
        verb = "protects" if number == 1 else "protect"
        return f"{how_many} of {rows.model._meta.db_table} {verb} rows of {model._meta.db_table} from deletion ({kind})"


def _any_of(conditions: list[Q]) -> Q:
    found = Q()
    for condition in conditions:
        found |= condition
    return found


def _concrete(model: type[models.Model]) -> type[models.Model]:
    return model._meta.concrete_model or model


def _relations_to(model: type[models.Model]) -> Iterator[Any]:
    for relation in model._meta.get_fields(include_hidden=True):
        if relation.auto_created and not relation.concrete and (relation.one_to_one or relation.one_to_many):
            yield relation


def _kind_of(on_delete: Any) -> str:
    return str(getattr(on_delete, "__name__", type(on_delete).__name__))


def _has_uuids(using: str) -> bool:
    return bool(connections[using].features.has_native_uuid_field)
