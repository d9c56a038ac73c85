"""Tests which runs are comparable."""

from __future__ import annotations

import datetime

import pytest

from django_runbook import checking
from django_runbook.document import inputs
from django_runbook.document.syntax import source
from django_runbook.document.validation import validate
from django_runbook.forecasts.subject import Subject, subject_of
from django_runbook.planning.plan import plan

FILE = """\
params:
  day: {type: date, default: "2013-01-31"}
  mode: {choices: [full, delta], default: delta}
  loud: false
  count: 3
steps: [noop, {id: other, command: noop}]
"""


def subject(text: str = FILE, *, unselected: tuple[str, ...] = (), params: dict[str, str] | None = None) -> Subject:
    runbook, _ = validate.load(source.Source(path="test.yml", text=text))
    assert runbook is not None
    known = inputs.resolve(runbook, inputs.GivenInputs(params=params or {}, now=datetime.datetime.now(datetime.UTC)))
    planned = plan(runbook, known, checking.new_binder())
    return subject_of(planned, runbook="daily.yml", unselected=unselected, definition_of=lambda key: f"d-{key}")


@pytest.mark.parametrize(
    ("params", "is_same"),
    [({"day": "2013-02-01"}, True), ({"count": "4"}, True), ({"mode": "full"}, False), ({"loud": "true"}, False)],
)
def test_flags_and_choices_decide_the_kind_of_a_run(params: dict[str, str], *, is_same: bool) -> None:
    assert (subject(params=params).kind == subject().kind) is is_same


def test_the_selected_steps_are_the_shape_of_a_run() -> None:
    assert subject().shape == subject(params={"count": "4"}).shape
    assert subject(unselected=("other",)).shape != subject().shape
    assert subject(FILE.replace("id: other", "id: another")).shape != subject().shape
