"""Checks the private APIs of Django that the batch library uses."""

from __future__ import annotations

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.sites.models import Site
from django.db import connection, transaction
from django.db.models import F, Window
from django.db.models.functions import RowNumber
from django.test import TestCase

from django_runbook.batch import django_compat
from tests.batchapp.models import Item


@pytest.mark.django_db(transaction=True)
def test_a_transaction_of_the_caller_is_detected() -> None:
    assert not django_compat.is_in_foreign_transaction(connection)
    with transaction.atomic():
        assert django_compat.is_in_foreign_transaction(connection)


class WithinTestCase(TestCase):
    def test_the_transaction_of_a_test_case_does_not_count(self) -> None:
        assert connection.in_atomic_block
        assert not django_compat.is_in_foreign_transaction(connection)


def test_a_copy_of_a_queryset_is_independent() -> None:
    rows = Item.objects.order_by("pk")
    copy = django_compat.copy_of(rows)
    copy.query.select_for_update = True
    assert not rows.query.select_for_update


@pytest.mark.django_db
def test_only_an_evaluated_queryset_has_cached_rows() -> None:
    rows = Site.objects.all()
    assert django_compat.cached_rows(rows) is None
    evaluated = list(rows)
    assert django_compat.cached_rows(rows) == evaluated


def test_a_join_is_detected() -> None:
    assert django_compat.has_joins(LogEntry.objects.filter(user__username="ops"))
    assert not django_compat.has_joins(LogEntry.objects.filter(pk=1))


def test_the_parts_of_a_query_are_detected() -> None:
    number = Window(RowNumber(), order_by="pk")
    assert django_compat.gives_values(Item.objects.values("pk"))
    assert not django_compat.gives_values(Item.objects.only("pk"))
    assert django_compat.uses_window(Item.objects.annotate(number=number))
    assert django_compat.uses_window(Item.objects.alias(number=number).filter(number=F("pk")))
    assert not django_compat.uses_window(Item.objects.filter(pk=1))


@pytest.mark.parametrize(
    ("names", "is_deferred", "loaded"),
    [
        pytest.param({"value"}, False, {"value", "count"}, id="only"),
        pytest.param({"value", "count"}, True, {"value"}, id="defer"),
        pytest.param(set(), True, set(), id="all"),
    ],
)
def test_a_deferred_field_is_loaded(names: set[str], *, is_deferred: bool, loaded: set[str]) -> None:
    rows = Item.objects.defer(*names) if is_deferred else Item.objects.only(*names)
    django_compat.load_fields(rows, [Item._meta.get_field("count")])
    found, still_deferred = rows.query.deferred_loading
    assert (set(found), still_deferred) == (loaded, is_deferred)
