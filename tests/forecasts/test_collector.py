"""Tests the figures that the events of a run give."""

from __future__ import annotations

from typing import Any

from django_runbook import events
from django_runbook.forecasts.collector import Collector
from django_runbook.forecasts.figures import MAX_STEPS, StepFigures
from django_runbook.results import StepResult, StepStatus
from tests.reporters.scenes import AT


def ended(step_id: str, **values: Any) -> events.StepFinished:
    values = {"status": StepStatus.SUCCEEDED, "attempt_count": 1, "duration_seconds": 2.0, **values}
    return events.StepFinished(at=AT, result=StepResult(step_id=step_id, name=step_id, **values))


def wrote(step_id: str, line: str) -> events.StepOutputWritten:
    return events.StepOutputWritten(at=AT, step_id=step_id, stream="stdout", line=line)


def progress(step_id: str, done_count: int) -> events.StepProgress:
    return events.StepProgress(at=AT, step_id=step_id, done_count=done_count, total_count=None)


def collected(*sent: events.Event, captured: Any = None) -> dict[str, StepFigures]:
    collector = Collector(
        definition_of=lambda step_id: "d", captured=lambda step_id: None if captured is None else [captured]
    )
    for event in sent:
        collector.add(event)
    return collector.steps


def figures(**values: Any) -> StepFigures:
    return StepFigures(**{"definition": "d", "status": "succeeded", "seconds": 2.0, "output_size": 0, **values})


def test_a_step_has_its_rows_and_its_characters() -> None:
    sent = [progress("load", 1), progress("load", 9), wrote("load", "done"), wrote("other", "no"), ended("load")]
    assert collected(*sent) == {"load": figures(rows=9, output_size=4)}


def test_the_items_of_a_loop_are_summed_and_the_longest_counts() -> None:
    sent = [
        *(progress("load[1]", 4), wrote("load[1]", "abc"), ended("load[1]")),
        *(progress("load[2]", 5), ended("load[2]", duration_seconds=3.0)),
        ended("load[3]", status=StepStatus.FAILED, duration_seconds=1.0),
        ended("load", is_group=True, duration_seconds=6.0),
    ]
    assert collected(*sent) == {
        "load[]": figures(status="failed", seconds=3.0, rows=9, output_size=3),
        "load": figures(seconds=6.0, output_size=None),
    }


def test_a_retried_step_has_the_figures_of_its_last_end() -> None:
    assert collected(progress("load", 4), ended("load"), ended("load", duration_seconds=7.0)) == {
        "load": figures(seconds=7.0)
    }


def test_captured_lists_and_mappings_have_a_length() -> None:
    assert collected(ended("late"), captured=[1, 2])["late"].captured_size == 2
    assert collected(ended("late"), captured={})["late"].captured_size == 0
    assert collected(ended("late"), captured="text")["late"].captured_size is None


def test_a_step_that_did_not_run_has_its_status_only() -> None:
    skipped = ended("load", status=StepStatus.SKIPPED, attempt_count=0, duration_seconds=0.0)
    assert collected(skipped) == {"load": figures(status="skipped", seconds=None, output_size=None)}


def test_very_long_files_are_cut() -> None:
    assert len(collected(*(ended(f"s{number}") for number in range(MAX_STEPS + 10)))) == MAX_STEPS
