"""Progress in, pace out."""

from __future__ import annotations

from django_runbook.reporters.pace import Pace
from tests.reporters.scenes import progressed


def test_the_pace_covers_the_last_30_seconds() -> None:
    pace = Pace()
    assert pace.text() == ""
    for second in range(0, 100, 10):
        pace.add(progressed("a", second, 2000, seconds=second))
    assert pace.text() == "90 of 2,000 (4%), 1.0/s, 31m50s left"
    for second in range(100, 160, 10):
        pace.add(progressed("a", 90 + 10 * (second - 90), 2000, seconds=second))
    assert pace.text() == "690 of 2,000 (34%), 10/s, 2m11s left"


def test_progress_beyond_the_total_or_backwards_is_shown_unchanged() -> None:
    pace = Pace()
    pace.add(progressed("a", 12, 10, seconds=0))
    assert pace.text() == "12 of 10"
    pace.add(progressed("a", 3, 0, seconds=1, failed=2))
    assert pace.text() == "3, 2 failed"
