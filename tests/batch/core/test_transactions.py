"""Tests which open transactions are refused."""

from __future__ import annotations

import io

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import transaction

from tests.batch.commands import CountItems, call
from tests.batch.engines import Engine
from tests.batchapp.models import (
    Item,
    Ledger,
)


def test_a_transaction_of_the_caller_is_refused(sqlite: Engine) -> None:
    with transaction.atomic(using=sqlite.alias), pytest.raises(CommandError, match="a transaction is open on"):
        call(sqlite, CountItems())


def test_a_transaction_that_holds_the_checkpoints_elsewhere_is_refused(without_table: Engine) -> None:
    with transaction.atomic(), pytest.raises(CommandError, match='a transaction is open on the database "default"'):
        call(without_table, CountItems())


@pytest.mark.django_db
def test_the_transaction_of_a_django_testcase_is_accepted() -> None:
    Item.objects.create()
    call_command(CountItems(), stdout=io.StringIO())
    assert Item.objects.get().count == 1


def test_a_database_without_autocommit_is_refused(engine: Engine) -> None:
    engine.fill(3)
    engine.connection.ensure_connection()
    engine.connection.set_autocommit(False)
    with pytest.raises(CommandError, match="AUTOCOMMIT off"):
        call(engine, CountItems())
    engine.connection.close()
    assert not Ledger.objects.using(engine.alias).exists()
