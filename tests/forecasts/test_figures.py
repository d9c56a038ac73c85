"""Tests the stored form of figures."""

from __future__ import annotations

import pytest

from django_runbook.forecasts.figures import RunFigures, StepFigures, figures_key


def test_stored_figures_are_read_again() -> None:
    steps = {"load": StepFigures(definition="abc", status="succeeded", seconds=1.25, rows=3, output_size=7)}
    figures = RunFigures(shape="s", seconds=2.5, steps=steps)
    assert RunFigures.of_text(figures.to_text()) == figures


@pytest.mark.parametrize(
    ("step_id", "key"), [("load", "load"), ("load[3]", "load[]"), ("weekly/load[1,2]", "weekly/load[]")]
)
def test_the_items_of_a_loop_share_a_key(step_id: str, key: str) -> None:
    assert figures_key(step_id) == key
