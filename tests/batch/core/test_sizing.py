"""Tests batch sizes."""

from __future__ import annotations

from django_runbook.batch.core.sizing import AdaptiveSize, FixedSize


def settle(size: AdaptiveSize, *, seconds_per_row: float, count: int) -> list[int]:
    sizes = []
    for _ in range(count):
        sizes.append(size.next())
        size.note(count=sizes[-1], seconds=sizes[-1] * seconds_per_row)
    return sizes


def test_a_size_at_most_doubles_and_settles_at_the_target() -> None:
    sizes = settle(AdaptiveSize(target_seconds=0.5), seconds_per_row=0.0005, count=8)
    assert sizes == [100, 200, 400, 800, 1000, 1000, 1000, 1000]


def test_the_next_batch_adapts_to_a_slow_one() -> None:
    size = AdaptiveSize(target_seconds=0.5)
    settle(size, seconds_per_row=0.0005, count=8)
    assert settle(size, seconds_per_row=0.004, count=3) == [1000, 125, 125]
    assert settle(size, seconds_per_row=0.0005, count=15)[-1] > 800


def test_a_size_stays_between_one_and_the_largest() -> None:
    assert settle(AdaptiveSize(target_seconds=0.5), seconds_per_row=9.0, count=2) == [100, 1]
    assert settle(AdaptiveSize(target_seconds=0.5), seconds_per_row=0.0, count=9)[-1] == 10_000


def test_a_shortened_batch_does_not_count() -> None:
    size = AdaptiveSize(target_seconds=0.5)
    size.note(count=3, seconds=9.0)
    assert size.next() == 100


def test_a_fixed_size_stays() -> None:
    size = FixedSize(7)
    size.note(count=7, seconds=100.0)
    assert size.next() == 7
