from __future__ import annotations

import pytest

from django_runbook.models import RUNNING, Run
from django_runbook.pages import words
from django_runbook.results import RunStatus, StepStatus


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0"), (0.5, "0.5s"), (10, "10s"), (60, "1m"), (90, "1m30s"), (7200, "2h"), (5400, "1h30m"), (172800, "2d")],
)
def test_round_times_are_short(seconds: float, text: str) -> None:
    assert words.span(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(12, "12s"), (3600, "1h00m"), (86399, "1d00h"), (97200, "1d03h"), (2_595_600, "30d01h")]
)
def test_a_pause_of_days_is_told_in_days(seconds: float, text: str) -> None:
    assert words.pause(seconds) == text


@pytest.mark.parametrize("status", sorted({RUNNING, *StepStatus, *RunStatus, words.IGNORED}))
def test_every_status_has_a_word(status: str) -> None:
    assert words.LABELS[status] in words.badge(status)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("as it is", "as it is"),
        (["a", "b"], "a, b"),
        ([], "[]"),
        ([1, "é"], '[1, "é"]'),
        (None, "null"),
        (True, "true"),
        ("half \udcff", r"half \udcff"),
        (["\ud800", "b"], r"\ud800, b"),
        ({"a": "\ud800"}, r'{"a": "\ud800"}'),
    ],
)
def test_stored_values_are_shown_as_text(value: object, text: str) -> None:
    assert words.plain(value) == text


def test_the_line_to_resume_can_be_pasted_into_a_shell() -> None:
    run = Run(id="abc", runbook="my runbooks/it's.yml")
    assert words.resume_line(run) == """python manage.py run_runbook 'my runbooks/it'"'"'s.yml' --resume abc"""
