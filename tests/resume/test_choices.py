"""Tests ``--rerun`` and ``--skip``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from django_runbook.models import StepRun
from tests.journal.support import die, effects, resume
from tests.resume.support import TWO, fail_now, fix
from tests.runner.support import run

pytestmark = pytest.mark.django_db


def test_rerun_runs_a_step_again(tmp_path: Path) -> None:
    run(tmp_path, TWO)
    die("two")
    assert resume(tmp_path, rerun=["two"]).exit_code == 0
    assert effects(tmp_path) == ["one", "two", "two"]
    assert [(row.attempt, row.run_attempt, row.status) for row in StepRun.objects.filter(step_id="two")] == [
        (1, 1, "interrupted"),
        (2, 2, "succeeded"),
    ]


def test_skip_marks_a_step_as_done_in_all_later_attempts(tmp_path: Path) -> None:
    fail_now(tmp_path)
    run(tmp_path, "steps:\n  - {id: zero, command: effect zero --log log}\n" + TWO.removeprefix("steps:\n"))
    die("one")
    ended = resume(tmp_path, skip=["one"])
    assert ended.statuses == {"zero": "succeeded", "one": "skipped", "two": "failed"}
    fix(tmp_path)
    assert resume(tmp_path).exit_code == 0
    assert effects(tmp_path) == ["zero", "one", "two", "two", "two"]


def test_skip_marks_a_step_as_done_that_had_not_begun(tmp_path: Path) -> None:
    fail_now(tmp_path)
    text = """\
steps:
  - {id: one, command: effect one --log log --fail-if broken}
  - {id: two, command: effect two --log log}
"""
    run(tmp_path, text)
    fix(tmp_path)
    ended = resume(tmp_path, skip=["two"])
    assert (ended.exit_code, ended.statuses) == (0, {"one": "succeeded", "two": "skipped"})
    assert effects(tmp_path) == ["one", "one"]


def test_an_interrupted_item_is_named_by_its_number_or_by_its_loop(tmp_path: Path) -> None:
    text = "steps:\n  - {id: load, command: 'effect ${{ item }} --log log', for_each: [a, b, c]}\n"
    for answer in ("load[2]", "load"):
        run(tmp_path, text)
        die("load[2]", "load")
        assert "--rerun load[2]" in resume(tmp_path).errors
        assert resume(tmp_path, skip=[answer]).exit_code == 0
    # ``--skip load`` marks the whole loop as done, including the items that had not begun.
    assert effects(tmp_path) == ["a", "b", "c", "c", "a", "b", "c"]


@pytest.mark.parametrize("option", ["rerun", "skip"])
def test_an_unknown_step_is_refused(tmp_path: Path, option: str) -> None:
    fail_now(tmp_path)
    run(tmp_path, TWO)
    ended = run(tmp_path, TWO, resume="", **{option: ["three"]})
    assert ended.exit_code == 2
    assert f"--{option} three" in ended.errors


def test_rerun_runs_a_completed_step_again(tmp_path: Path) -> None:
    fail_now(tmp_path)
    text = "steps:\n  - {id: group, steps: [{id: inner, command: effect inner --log log}]}\n" + TWO.removeprefix(
        "steps:\n"
    )
    run(tmp_path, text)
    fix(tmp_path)
    assert resume(tmp_path, rerun=["inner"]).exit_code == 0
    assert effects(tmp_path) == ["inner", "one", "two", "inner", "two"]


def test_a_step_marked_as_done_stays_done_after_a_failure(tmp_path: Path) -> None:
    fail_now(tmp_path)
    text = "steps:\n  - {id: one, command: effect one --log log --fail-if broken}\n  - {id: two, command: effect two --log log}\n"
    run(tmp_path, text)
    assert resume(tmp_path, skip=["two"]).exit_code == 1
    fix(tmp_path)
    assert resume(tmp_path).exit_code == 0
    assert "two" not in effects(tmp_path)


def test_rerun_of_a_group_runs_all_of_it(tmp_path: Path) -> None:
    fail_now(tmp_path)
    text = """\
steps:
  - {id: group, steps: [effect a --log log, effect b --log log]}
  - effect c --log log --fail-if broken
"""
    run(tmp_path, text)
    fix(tmp_path)
    assert resume(tmp_path, rerun=["group"]).exit_code == 0
    assert effects(tmp_path) == ["a", "b", "c", "a", "b", "c"]


@pytest.mark.parametrize("answer", [{"skip": ["group"]}, {"skip": ["clean"]}, {"rerun": ["clean"]}])
def test_a_choice_without_effect_is_refused(tmp_path: Path, answer: dict[str, Any]) -> None:
    fail_now(tmp_path)
    text = """\
steps:
  - {id: group, steps: [effect a --log log --fail-if broken]}
finally: [{id: clean, command: effect clean --log log}]
"""
    run(tmp_path, text)
    ended = resume(tmp_path, **answer)
    assert ended.exit_code == 2
    assert "with this id" in ended.errors


def test_the_narrower_of_two_choices_wins(tmp_path: Path) -> None:
    text = "steps:\n  - {id: load, command: 'effect ${{ item }} --log log', for_each: [a, b, c]}\n"
    run(tmp_path, text)
    die("load[2]", "load")
    ended = resume(tmp_path, rerun=["load[2]"], skip=["load"])
    assert (ended.exit_code, "--rerun load[2]: --skip marks it as done" in ended.errors) == (2, True)
    assert resume(tmp_path, rerun=["load"], skip=["load[2]"]).exit_code == 0
    assert effects(tmp_path) == ["a", "b", "c", "a", "c"]


def test_an_unselected_step_cannot_run_again(tmp_path: Path) -> None:
    fail_now(tmp_path)
    run(
        tmp_path,
        "steps:\n  - {id: a, command: noop}\n  - {id: b, command: effect b --log log --fail-if broken}\n",
        skip=["a"],
    )
    ended = resume(tmp_path, rerun=["a"])
    assert (ended.exit_code, "--rerun a: the run began without this step (--skip)" in ended.errors) == (2, True), (
        ended.errors
    )


def test_a_choice_is_valid_for_one_attempt(tmp_path: Path) -> None:
    text = "steps:\n  - {id: first, command: effect first --log log}\n  - {id: one, command: effect one --log log}\n"
    run(tmp_path, text)
    die("one")
    fail_now(tmp_path)
    changed = text.replace("effect first --log log", "effect first --log log --fail-if broken")
    assert resume(tmp_path, changed, rerun=["first", "one"], accept_changes=True).statuses["one"] == "not_run"
    ended = resume(tmp_path, changed)
    assert (ended.exit_code, 'step "one" was interrupted' in ended.errors) == (2, True)
    fix(tmp_path)
    assert resume(tmp_path, changed, rerun=["one"]).exit_code == 0
    assert effects(tmp_path) == ["first", "one", "first", "first", "one"]


def test_a_skipped_step_does_not_keep_the_output_of_a_failed_attempt(tmp_path: Path) -> None:
    text = """\
steps:
  - {id: one, command: say 0, capture: json, retry: {attempts: 2, delay: 0s, until: "steps.one.output == 1"}}
  - {id: late, command: effect late --log log, when: steps.one.output is defined}
"""
    assert run(tmp_path, text).exit_code == 1
    assert resume(tmp_path, skip=["one"]).statuses == {"one": "skipped", "late": "skipped"}
