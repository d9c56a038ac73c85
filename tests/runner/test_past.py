"""Restores the results of earlier attempts in a resumed run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from django_runbook import events
from django_runbook.results import StepResult, StepStatus
from django_runbook.runner.past import Past, PastStep
from tests.runner.plans import run_plan, said


def past(
    *step_ids: str,
    started: tuple[str, ...] = (),
    outputs: Mapping[str, object] | None = None,
    names: Mapping[str, str] | None = None,
) -> Past:
    outputs, names = outputs or {}, names or {}
    done = {
        step_id: PastStep(
            result=StepResult(
                step_id=step_id, name=names.get(step_id, step_id), status=StepStatus.SUCCEEDED, attempt_count=1
            ),
            output=outputs.get(step_id),
            has_output=step_id in outputs,
        )
        for step_id in (*step_ids, *outputs)
    }
    return Past(done=done, started=frozenset((*done, *started)))


def test_a_completed_step_is_not_repeated_and_its_output_is_available(tmp_path: Path) -> None:
    emitted: list[events.Event] = []
    text = "steps: [{id: one, command: fail, capture: text}, 'say ${{ steps.one.output }} ${{ steps.one.status }}']"
    result = run_plan(tmp_path, text, past=past(outputs={"one": "kept"}), emit=emitted.append)
    assert said(emitted) == ["kept succeeded"]
    assert [(step.step_id, step.is_past, step.reason) for step in result.steps] == [
        ("one", True, "completed earlier"),
        ("say", False, ""),
    ]


def test_a_condition_is_not_evaluated_again(tmp_path: Path) -> None:
    text = "params: {n: 1}\nsteps: [{id: one, command: noop, when: params.n > 1}]"
    assert run_plan(tmp_path, text).steps[0].status is StepStatus.SKIPPED
    assert run_plan(tmp_path, text, past=past(started=("one",))).steps[0].status is StepStatus.SUCCEEDED


def test_completed_items_stay_completed_and_count_for_the_results(tmp_path: Path) -> None:
    emitted: list[events.Event] = []
    text = """
steps:
  - {id: one, command: "say ${{ item }}", for_each: [a, b, c], capture: text}
  - say ${{ steps.one.output | join("+") }}
"""
    before = past(outputs={"one[1]": "A", "one[2]": "B"}, names={"one[1]": "say (a)", "one[2]": "say (b)"})
    run_plan(tmp_path, text, past=before, emit=emitted.append)
    assert said(emitted) == ["c", "A+B+c"]


def test_a_completed_loop_gives_all_its_outputs(tmp_path: Path) -> None:
    emitted: list[events.Event] = []
    text = """
steps:
  - {id: one, command: fail, for_each: [a, b], capture: text}
  - say ${{ steps.one.output | join("+") }}
"""
    run_plan(tmp_path, text, past=past("one", outputs={"one[1]": "A", "one[2]": "B"}), emit=emitted.append)
    assert said(emitted) == ["A+B"]


def test_the_steps_of_a_completed_group_can_be_named(tmp_path: Path) -> None:
    emitted: list[events.Event] = []
    text = """
steps:
  - id: group
    steps: [{id: one, command: fail, capture: text}]
    on_success: [say never]
    finally: [say never]
  - say ${{ steps.one.output }}
"""
    run_plan(tmp_path, text, past=past("group", outputs={"one": "kept"}), emit=emitted.append)
    assert said(emitted) == ["kept"]


def test_handlers_never_count_as_completed(tmp_path: Path) -> None:
    emitted: list[events.Event] = []
    text = "steps: [noop]\non_success: [{id: good, command: say good}]\nfinally: [{id: end, command: say end}]"
    run_plan(tmp_path, text, past=past("noop", "good", "end"), emit=emitted.append)
    assert said(emitted) == ["good", "end"]
