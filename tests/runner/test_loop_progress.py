"""Adds up the progress of shards."""

from __future__ import annotations

from django_runbook.runner.loop_progress import Counts, LoopProgress


def test_shards_that_have_not_begun_count_with_the_average_of_the_others() -> None:
    progress = LoopProgress(count=4)
    assert progress.add("a[1]", Counts(10, 100, 1)) == Counts(10, 400, 1)
    assert progress.add("a[2]", Counts(0, 102, 0)) == Counts(10, 404, 1)
    assert progress.add("a[1]", Counts(100, 100, 2)) == Counts(100, 404, 2)
    for number in (3, 4):
        progress.add(f"a[{number}]", Counts(101, 101, 0))
    assert progress.add("a[2]", Counts(102, 102, 0)) == Counts(404, 404, 2)


def test_the_total_is_unknown_until_a_shard_knows_its_own() -> None:
    progress = LoopProgress(count=2)
    assert progress.add("a[2]", Counts(1, None, 0)) == Counts(1, None, 0)
    assert progress.add("a[1]", Counts(10, 100, 0)) == Counts(11, 200, 0)
    assert progress.add("a[2]", Counts(1, 98, 0)) == Counts(11, 198, 0)
