"""A new run finds the shards of the work that an earlier run of its runbook has left."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from django_runbook.journal.unfinished_shards import unfinished_shard_counts
from django_runbook.models import Run
from django_runbook.models.checkpoints import Checkpoint
from tests.journal_data import new_run

pytestmark = pytest.mark.django_db


def add_shards(run: Run, count: int, *, step_id: str = "fill", scope: str = "s", finished_count: int = 0) -> None:
    """Add the shards of one piece of work; only the first one has begun."""
    for number in range(1, count + 1):
        Checkpoint.objects.create(
            scope=scope,
            shard=f"{number}/{count}",
            command="backfill",
            call_key=f"{run.pk}:{step_id}[{number}]" if number == 1 else "",
            finished_at=timezone.now() if number <= finished_count else None,
        )


def counts_of(run: Run) -> dict[str, int]:
    return unfinished_shard_counts(run.runbook, using="default")


@pytest.mark.parametrize(("finished_count", "expected"), [(0, {"fill": 4}), (1, {"fill": 4}), (4, {})])
def test_work_with_an_unfinished_shard_has_its_number(finished_count: int, expected: dict[str, int]) -> None:
    run = new_run()
    add_shards(run, 4, finished_count=finished_count)
    assert counts_of(run) == expected


def test_work_of_other_runbooks_and_without_shards_does_not_count() -> None:
    run, other = new_run(), new_run(runbook="other.yml")
    add_shards(other, 4)
    Checkpoint.objects.create(scope="t", command="backfill", call_key=f"{run.pk}:whole")
    assert counts_of(run) == {}
    assert counts_of(other) == {"fill": 4}


def test_the_work_of_the_newest_call_counts() -> None:
    run = new_run()
    add_shards(run, 2, scope="a", finished_count=1)
    add_shards(run, 3, scope="b")
    add_shards(run, 5, scope="c", step_id="more")
    assert counts_of(run) == {"fill": 3, "more": 5}


def test_nothing_is_unfinished_without_the_tables(settings: Any) -> None:
    run = new_run()
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {Checkpoint._meta.db_table} RENAME TO gone")
    assert counts_of(run) == {}
    # The transaction around it still works.
    assert Run.objects.get() == run
