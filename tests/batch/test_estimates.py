"""Commands that are only asked what they would do, on three databases."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.management import call_command
from django.db.models import QuerySet

from django_runbook.batch import estimates
from django_runbook.batch.estimates import WorkEstimate
from tests.batch.commands import CountBatches
from tests.batch.engines import Engine
from tests.batchapp.models import Item, Ledger

pytestmark = pytest.mark.slow
MANY = 12_000


class ByValue(CountBatches):
    """Walks along a column without an index."""

    key_fields = ("value",)


class WithoutPlan(CountBatches):
    """Its rows are those with a value that no index has."""

    def get_queryset(self) -> QuerySet[Item]:
        return Item.objects.filter(value="2")


def estimated(command: CountBatches, engine: Engine, *tokens: str) -> WorkEstimate:
    found: list[Any] = []
    call_command(command, *tokens, "--database", engine.alias, estimate=found.append)
    (estimate,) = found
    assert isinstance(estimate, WorkEstimate)
    assert not Ledger.objects.using(engine.alias).exists()
    return estimate


def test_rows_and_batches_are_counted_and_nothing_is_done(engine: Engine) -> None:
    engine.fill(2_500)
    found = estimated(CountBatches(), engine, "--batch-size", "1000")
    assert (found.count, found.batch_count, found.is_about, found.warnings) == (2_500, 3, False, ())
    assert estimated(CountBatches(), engine, "--limit", "10").count == 10
    assert estimated(CountBatches(), engine).batch_count is None
    shard = estimated(CountBatches(), engine, "--shard", "1/4")
    assert (shard.count, shard.is_about) == (625, True)
    assert estimated(WithoutPlan(), engine).count == 0


def test_a_key_without_an_index_gives_a_warning_and_the_primary_key_none(engine: Engine) -> None:
    engine.fill(MANY)
    with engine.connection.cursor() as cursor:
        cursor.execute("ANALYZE" if engine.vendor != "mariadb" else "ANALYZE TABLE batchapp_item")
    assert estimated(CountBatches(), engine, "--batch-size", "100").warnings == ()
    warnings = estimated(ByValue(), engine, "--batch-size", "100").warnings
    assert warnings
    assert all("an index on the key of the batches is missing or unused" in warning for warning in warnings)
    assert "batchapp_item" in warnings[0]


def test_a_count_that_takes_too_long_is_given_up(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    engine.fill(10)
    # A count of so many pairs of rows takes minutes; a statement is not ended before 2 ms on any database.
    monkeypatch.setattr(estimates, "QUERY_SECONDS", 0.2)

    def slow(rows: Any) -> QuerySet[Any]:
        # Eight times the same ten rows.
        tables = ", ".join(f"batchapp_item i{number}" for number in range(8))
        return Item.objects.extra(where=[f"(SELECT count(*) FROM {tables}) > 0"])

    monkeypatch.setattr(CountBatches, "get_queryset", slow)
    found = estimated(CountBatches(), engine)
    assert found.count is None if engine.vendor != "postgresql" else found.is_about
    # The limit is gone.
    with engine.connection.cursor() as cursor:
        limits = {"postgresql": "SHOW statement_timeout", "mariadb": "SELECT @@SESSION.max_statement_time"}
        cursor.execute(limits.get(engine.vendor, "SELECT '0'"))
        assert str(cursor.fetchone()[0]) in {"0", "0.000000", "0.0"}
