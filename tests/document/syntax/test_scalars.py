from __future__ import annotations

import pytest

from django_runbook.document.syntax.scalars import parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("1.5s", 1.5), ("1h30m", 5400), ("2d", 172800), ("", None), ("٣", None), ("٣m", None)],
)
def test_a_duration_has_the_digits_of_yaml(text: str, seconds: float | None) -> None:
    assert parse_duration(text) == seconds
