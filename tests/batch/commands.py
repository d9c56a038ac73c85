"""Defines the batch commands of the tests, whose effects must not happen twice, and calls them."""

from __future__ import annotations

import contextlib
import io
import time
from argparse import ArgumentParser
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import BaseCommand
from django.db import IntegrityError
from django.db.models import F, QuerySet

from django_runbook.batch import BatchCommand
from django_runbook.models.checkpoints import Checkpoint
from tests.batch.engines import Engine
from tests.batchapp.models import Item, Ledger


class CountItems(BatchCommand):
    """Counts each item up, and writes it into the ledger; ``pause`` is slept in each, ``look`` is called with each."""

    lock_name: str | None = None
    pause_seconds = 0.0

    def __init__(self, look: Callable[[Item], object] = lambda item: None) -> None:
        super().__init__()
        self.look = look

    def get_lock_name(self, **options: Any) -> str | None:
        # What must hold without a lock is tested without one; a test that has one names it.
        return self.lock_name

    def get_queryset(self) -> QuerySet[Item]:
        return Item.objects.all()

    def process_item(self, item: Item) -> None:
        self.look(item)
        if self.pause_seconds:
            time.sleep(self.pause_seconds)
        item.count = F("count") + 1
        item.save(update_fields=["count"])
        Ledger.objects.using(self.database).create(item_key=str(item.pk))


class CountBatches(CountItems):
    """The same, a batch at a time."""

    def process_batch(self, rows: QuerySet[Item]) -> int | None:
        for item in rows:
            self.look(item)
        Ledger.objects.using(self.database).bulk_create([Ledger(item_key=str(item.pk)) for item in rows])
        rows.update(count=F("count") + 1)
        return None


class MarkItems(CountItems):
    """Does what is not done yet: items leave its queryset."""

    is_todo = True

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--value")

    def get_queryset(self) -> QuerySet[Item]:
        items = Item.objects.filter(is_done=False)
        return items.filter(value=self.options["value"]) if self.options["value"] else items

    def process_item(self, item: Item) -> None:
        super().process_item(item)
        Item.objects.using(self.database).filter(pk=item.pk).update(is_done=True)


class Unlocked(BatchCommand):
    def get_lock_name(self, **options: Any) -> str | None:
        return None


BOTH = pytest.mark.parametrize("command", [CountItems, CountBatches])


def call(engine: Engine, command: BaseCommand, *tokens: object, **options: Any) -> tuple[str, str]:
    """Call a command; returns its standard output and standard error."""
    out, err = io.StringIO(), io.StringIO()
    tokens = (*map(str, tokens), "--database", engine.alias, "--verbosity", "0")
    call_command(command, *tokens, stdout=out, stderr=err, **options)
    return out.getvalue(), err.getvalue()


def failing(*keys: int) -> Callable[[Item], None]:
    def look(item: Item) -> None:
        if item.pk in keys:
            raise ValueError(f"{item.pk} is bad")

    return look


def pks(engine: Engine) -> list[int]:
    return list(Item.objects.using(engine.alias).order_by("pk").values_list("pk", flat=True))


def left(engine: Engine) -> Checkpoint | None:
    return Checkpoint.objects.using(engine.alias).first()


MOMENT = datetime(2026, 1, 1, 12, 0, 0, 123456, tzinfo=UTC)


class Skipping(MarkItems):
    def get_queryset(self) -> QuerySet[Item]:
        return super().get_queryset().select_for_update(skip_locked=True)


class Whole(CountItems):
    transaction_per = "command"


def swallow(engine: Engine) -> None:
    with contextlib.suppress(IntegrityError):
        Item(pk=pks(engine)[0]).save(force_insert=True, using=engine.alias)


def errors_of(engine: Engine, command: CountItems, *tokens: object) -> str:
    """Call a command; returns its standard error."""
    err = io.StringIO()
    tokens = (*map(str, tokens), "--database", engine.alias, "--verbosity", "0")
    call_command(command, *tokens, stdout=io.StringIO(), stderr=err)
    return err.getvalue()


def once(action: Callable[[], object], *, at: int = 1) -> Callable[[Item], None]:
    """Run an action once, at the item with this number."""
    seen_count = 0

    def look(item: Item) -> None:
        nonlocal seen_count
        seen_count += 1
        if seen_count == at:
            action()

    return look


@contextlib.contextmanager
def another(engine: Engine) -> Any:
    """Open a second connection to the same database."""
    connection = engine.connection.copy()
    try:
        with connection.cursor() as cursor:
            yield cursor
    finally:
        connection.close()


class Patient(CountItems):
    """Sleeps between its batches, where a test stops it."""

    def throttle(self) -> float | None:
        time.sleep(0.02)
        return None


def is_waiting(engine: Engine) -> bool:
    """Return whether a session waits for the lock of another session."""
    with another(engine) as cursor:
        if engine.vendor == "postgresql":
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
        else:
            return count_transactions(cursor, "trx_state = 'LOCK WAIT'") > 0
        return bool(cursor.fetchone()[0])


def count_transactions(cursor: Any, condition: str) -> int:
    """Return how many transactions of MariaDB fulfil a condition."""
    # InnoDB lists them again if the list was not read for 0.1 s, so a loop without this pause reads the same one for ever.
    time.sleep(0.15)
    cursor.execute(f"SELECT count(*) FROM information_schema.innodb_trx WHERE {condition}")
    found: int = cursor.fetchone()[0]
    return found


class Late(MarkItems):
    """Commits a row before its cursor, and fails for another one."""

    def process_item(self, item: Item) -> None:
        if item.value == "bad":
            raise ValueError("bad")
        super().process_item(item)
        if item.pk == 17:
            Item.objects.using(self.database).get_or_create(pk=1)

    def wait(self, seconds: float) -> bool:
        return False
