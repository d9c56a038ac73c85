from __future__ import annotations

import pytest

from django_runbook.models import RUNNING, Run
from django_runbook.pages import formatting
from django_runbook.results import RunStatus, StepStatus


@pytest.mark.parametrize("status", sorted({RUNNING, *StepStatus, *RunStatus, formatting.IGNORED}))
def test_every_status_has_a_label(status: str) -> None:
    assert formatting.LABELS[status] in formatting.badge(status)


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
    assert formatting.value_text(value) == text


def test_the_resume_command_is_quoted_for_a_shell() -> None:
    run = Run(id="abc", runbook="my runbooks/it's.yml")
    assert formatting.resume_line(run) == """python manage.py run_runbook 'my runbooks/it'"'"'s.yml' --resume abc"""
