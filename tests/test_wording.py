"""Values in, text out."""

from __future__ import annotations

import pytest

from django_runbook import wording


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0s"),
        (9.94, "9.9s"),
        (9.96, "10s"),
        (59.6, "1m00s"),
        (65, "1m05s"),
        (3600, "1h00m"),
        (7384, "2h03m"),
        (84600, "23h30m"),
        (86399, "23h59m"),
        (86400, "1d00h"),
        (97200, "1d03h"),
        (2_595_600, "30d01h"),
    ],
)
def test_a_measured_duration_is_rounded(seconds: float, text: str) -> None:
    assert wording.short_duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.5, "0.5s"), (10, "10s"), (60, "1m"), (90, "1m30s"), (7200, "2h"), (5400, "1h30m"), (172800, "2d")],
)
def test_an_exact_duration_is_written_as_in_a_file(seconds: float, text: str) -> None:
    assert wording.exact_duration(seconds) == text


@pytest.mark.parametrize(
    ("counts", "text"),
    [
        ((3, None), "3"),
        ((0, 0), "0 of 0"),
        ((0, 500), "0 of 500"),
        ((1200, 5000, 3), "1,200 of 5,000 (24%), 3 failed"),
        ((4999, 5000), "4,999 of 5,000 (99%)"),
        ((9, 6), "9 of 6"),
        ((3, 0, 2), "3, 2 failed"),
    ],
)
def test_progress(counts: tuple[int, int | None], text: str) -> None:
    assert wording.progress(*counts) == text


@pytest.mark.parametrize(
    ("rate", "remaining_count", "text"),
    [(0, 5, ""), (1200, 0, "1,200/s"), (10, 400, "10/s, 40s left"), (2.5, -1, "2.5/s"), (0.05, 1, "3.0/min, 20s left")],
)
def test_speed(rate: float, remaining_count: int, text: str) -> None:
    assert wording.speed(rate, remaining_count) == text


@pytest.mark.parametrize(("count", "text"), [(0, "0 items"), (1, "1 item"), (2500, "2,500 items")])
def test_a_number_of_things(count: int, text: str) -> None:
    assert wording.number_of(count, "item") == text
