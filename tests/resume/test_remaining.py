"""Tests which steps of an unfinished run remain, and what later steps read of completed steps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from django_runbook import conf
from django_runbook.locks import factory
from django_runbook.models import Run, StepRun
from tests.journal.support import effects, resume
from tests.resume.support import fail_and_end_early, fail_now, fix
from tests.runner.support import run

pytestmark = pytest.mark.django_db


def test_handlers_and_finally_always_run_again(tmp_path: Path) -> None:
    fail_now(tmp_path)
    text = """\
steps:
  - {id: group, steps: [effect a --log log --fail-if broken], finally: [effect inner --log log]}
on_failure: [effect alarm --log log]
finally: [effect clean --log log]
"""
    assert run(tmp_path, text).exit_code == 1
    assert resume(tmp_path).exit_code == 1
    fix(tmp_path)
    assert resume(tmp_path).exit_code == 0
    failed = ["a", "inner", "alarm", "clean"]
    assert effects(tmp_path) == [*failed, *failed, "a", "inner", "clean"]


def test_a_condition_that_was_true_is_not_evaluated_again(tmp_path: Path) -> None:
    fail_now(tmp_path)
    text = """\
steps:
  - {id: before, command: effect before --log log --output 1, capture: json}
  - {id: late, command: effect late --log log --fail-if broken, when: steps.before.output == 1}
"""
    assert run(tmp_path, text).exit_code == 1
    row = StepRun.objects.get(step_id="before")
    row.output = [2]
    row.save()
    fix(tmp_path)
    assert resume(tmp_path).statuses == {"before": "succeeded", "late": "succeeded"}


def test_a_condition_that_was_false_stays_false(tmp_path: Path) -> None:
    fail_now(tmp_path)
    text = """\
steps:
  - {id: before, command: effect before --log log --output 1, capture: json}
  - {id: maybe, command: effect maybe --log log, when: steps.before.output == 2}
  - {id: late, command: effect late --log log --fail-if broken}
"""
    run(tmp_path, text)
    StepRun.objects.filter(step_id="before").update(output=[2])
    fix(tmp_path)
    assert resume(tmp_path).statuses["maybe"] == "skipped"


def test_a_loop_continues_after_its_completed_items(tmp_path: Path) -> None:
    fail_now(tmp_path)
    text = """\
steps:
  - id: load
    command: effect ${{ item }} --log log
    options: {fail-if: "${{ 'broken' if item == 'b' else 'nothing' }}", output: "out ${{ item }}"}
    capture: text
    for_each: [a, b, c]
  - id: report
    command: effect report --log log
    options: {output: "${{ steps.load.output | join('+') }}"}
"""
    assert run(tmp_path, text).exit_code == 1
    fix(tmp_path)
    ended = resume(tmp_path)
    assert ended.exit_code == 0
    assert effects(tmp_path) == ["a", "b", "b", "c", "report"]
    assert ended.output("report") == ["out a+out b+out c"]


def test_the_output_of_a_completed_step_is_restored(tmp_path: Path) -> None:
    fail_now(tmp_path)
    output = {"count": 10**20, "b": [1.0, None, "ü\0"], "a": True}
    (tmp_path / "data").write_text(json.dumps(output))
    text = """\
steps:
  - {id: first, command: show_file data, capture: json}
  - {id: second, command: effect second --log log --fail-if broken}
  - {id: third, command: effect third --log log, options: {output: "${{ steps.first.output.count }} ${{ steps.first.output.b | length }} ${{ steps.first.output.b[2] | length }} ${{ steps.first.output.items() | map('first') | join('') }}"}}
"""
    assert run(tmp_path, text).exit_code == 1
    fix(tmp_path)
    ended = resume(tmp_path)
    assert ended.errors == ""
    assert ended.output("third") == [f"{10**20} 3 2 countba"]


FIRST_AND_GROUP = """\
steps:
  - {id: first, command: effect first --log log --fail-if first-broken --output 1, capture: json}
  - id: group
    steps:
      - {id: one, command: effect one --log log}
      - {id: two, command: effect two --log log --fail-if broken, when: steps.first.output == 1}
"""


def test_a_completed_step_stays_done_after_an_attempt_that_did_not_reach_it(tmp_path: Path) -> None:
    fail_and_end_early(tmp_path, FIRST_AND_GROUP)
    ended = resume(tmp_path)
    assert ended.exit_code == 0
    assert effects(tmp_path) == ["first", "one", "two", "first", "first", "two"]


def test_a_step_that_succeeded_after_a_failure_stays_done(tmp_path: Path) -> None:
    fail_now(tmp_path)
    text = "steps:\n  - {id: one, command: effect one --log log --fail-if broken}\n  - {id: two, command: effect two --log log}\n"
    run(tmp_path, text, keep_going=True)
    Run.objects.update(options={})
    assert resume(tmp_path).statuses == {"one": "failed", "two": "succeeded"}
    fix(tmp_path)
    assert resume(tmp_path).exit_code == 0
    assert effects(tmp_path) == ["one", "two", "one", "one"]


def test_a_condition_is_not_evaluated_again_after_an_attempt_that_did_not_reach_it(tmp_path: Path) -> None:
    fail_and_end_early(tmp_path, FIRST_AND_GROUP)
    ended = resume(tmp_path, FIRST_AND_GROUP.replace("output 1", "output 2"), accept_changes=True)
    assert ended.statuses["two"] == "succeeded"


@pytest.mark.parametrize(
    "text",
    [
        """\
steps:
  - id: group
    lock: {name: theirs, on_conflict: skip}
    steps: ["effect one --log log --fail-if broken"]
""",
        "steps: [{id: one, lock: {name: theirs, on_conflict: skip}, command: effect one --log log --fail-if broken}]\n",
        "lock: {name: theirs, on_conflict: skip}\nsteps:\n  - {id: one, command: effect one --log log --fail-if broken}\n",
    ],
    ids=["group", "step", "file"],
)
def test_a_held_lock_does_not_turn_a_failed_run_into_a_success(tmp_path: Path, text: str) -> None:
    fail_now(tmp_path)
    assert run(tmp_path, text).exit_code == 1
    fix(tmp_path)
    lock = factory.new_factory(conf.read(), what="the other one")("theirs")
    assert lock.acquire() is None
    try:
        ended = resume(tmp_path)
    finally:
        lock.release()
    # With the lock of the run nothing was run; with the lock of a step the run had begun.
    assert ended.exit_code == (75 if text.startswith("lock") else 1)
    # The run had begun in an earlier attempt, so it is not "refused" and can be resumed.
    assert Run.objects.get().status == "failed"
    assert resume(tmp_path).exit_code == 0
    assert effects(tmp_path) == ["one", "one"]


def test_a_failure_in_a_completed_group_stays_a_failure(tmp_path: Path) -> None:
    text = """\
steps:
  - {id: allowed, continue_on_error: true, steps: [{id: bad, command: fail}, {id: later, command: noop}]}
  - {id: late, command: effect late --log log --fail-if broken}
  - {id: alarm, command: effect alarm --log log, when: steps.bad.status == 'failed' and steps.later.status == 'not_run'}
"""
    whole = run(tmp_path, text)
    fail_now(tmp_path)
    run(tmp_path, text)
    fix(tmp_path)
    resumed = resume(tmp_path)
    assert (whole.status, whole.statuses) == (resumed.status, resumed.statuses)
    assert (resumed.status, resumed.statuses["bad"]) == ("warning", "failed")
    assert effects(tmp_path).count("alarm") == 2


@pytest.mark.parametrize(
    ("handler", "status"),
    [("fail", "warning"), ("{command: fail, continue_on_error: true}", "warning"), ("noop", "succeeded")],
)
def test_a_failed_handler_of_a_completed_group_stays_a_warning(tmp_path: Path, handler: str, status: str) -> None:
    fail_now(tmp_path)
    text = f"""\
steps:
  - {{id: group, steps: [noop], finally: [{handler}]}}
  - {{id: late, command: effect late --log log --fail-if broken}}
"""
    run(tmp_path, text)
    fix(tmp_path)
    ended = resume(tmp_path, strict=True)
    assert (ended.status, ended.exit_code) == (status, int(status == "warning"))


def test_a_handler_of_a_completed_group_that_lost_its_worker_stays_a_warning(tmp_path: Path) -> None:
    fail_now(tmp_path)
    text = """\
steps:
  - {id: group, steps: [noop], finally: [{id: tidy, command: noop}]}
  - {id: late, command: effect late --log log --fail-if broken}
"""
    run(tmp_path, text)
    # As it is after the death of the worker of a call, whose outcome nobody knows.
    assert StepRun.objects.filter(step_id="tidy").update(status="interrupted") == 1
    fix(tmp_path)
    ended = resume(tmp_path, strict=True)
    assert (ended.status, ended.exit_code) == ("warning", 1)


def test_a_loop_in_a_completed_group_keeps_its_items(tmp_path: Path) -> None:
    fail_now(tmp_path)
    text = """\
steps:
  - id: allowed
    continue_on_error: true
    steps:
      - {id: load, command: "effect ${{ item }} --log log", for_each: [a, b, c], options: {fail-if: "${{ 'broken' if item == 'b' else 'no' }}"}}
  - {id: late, command: "effect ${{ steps.load.results | map(attribute='status') | join('+') }} --log log --fail-if broken"}
"""
    run(tmp_path, text)
    fix(tmp_path)
    assert resume(tmp_path).exit_code == 0
    assert effects(tmp_path)[-2:] == ["succeeded+failed+not_run"] * 2


def test_the_skipped_steps_of_a_group_are_recorded_before_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "steps: [{id: g, steps: [noop, {id: t, command: noop, tags: [t]}]}, {id: late, command: noop}]\n"
    seen: list[list[str]] = []
    finish = StepRun.finish

    def look(row: StepRun, status: Any, **more: Any) -> bool:
        if row.step_id == "g":
            seen.append(list(StepRun.objects.values_list("step_id", flat=True)))
        return finish(row, status, **more)

    monkeypatch.setattr(StepRun, "finish", look)
    assert run(tmp_path, text, skip_tags=["t"]).exit_code == 0
    assert seen == [["g", "noop", "t"]]


def test_the_attempts_of_a_step_are_those_of_its_last_run_attempt(tmp_path: Path) -> None:
    fail_now(tmp_path)
    text = """\
steps:
  - {id: maybe, command: noop, when: 1 == 2}
  - {id: empty, command: noop, for_each: []}
  - {id: twice, command: effect twice --log log --fail-until 2, retry: {attempts: 3, delay: 0s}}
  - {id: again, command: effect again --log log --fail-if broken}
  - {id: late, command: effect late --log log --fail-if late}
  - id: report
    command: say
    args: ["${{ steps.maybe.attempts }} ${{ steps.empty.attempts }} ${{ steps.twice.attempts }} ${{ steps.again.attempts }}"]
"""
    run(tmp_path, text)
    fix(tmp_path)
    (tmp_path / "late").touch()
    assert resume(tmp_path).statuses["again"] == "succeeded"
    (tmp_path / "late").unlink()
    assert resume(tmp_path).output("report") == ["0 0 2 1"]
