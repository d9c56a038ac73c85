"""Tests which rows count after retries, groups that start over, and interrupted attempts."""

from __future__ import annotations

from pathlib import Path

import pytest

from django_runbook.models import StepRun
from tests.journal.support import die, effects, resume
from tests.resume.support import fail_now, fix
from tests.runner.support import run

pytestmark = pytest.mark.django_db


def test_a_group_with_a_false_until_starts_over(tmp_path: Path) -> None:
    text = """\
steps:
  - id: group
    retry: {attempts: 2, delay: 0s, until: steps.check.output == 2}
    steps: [{id: check, command: show_file state, capture: json}]
"""
    (tmp_path / "state").write_text("1")
    assert run(tmp_path, text).exit_code == 1
    (tmp_path / "state").write_text("2")
    assert resume(tmp_path).exit_code == 0
    assert StepRun.objects.filter(step_id="check").count() == 3


INNER = "{id: b, command: effect b --log log --output no, capture: text, retry: {attempts: 1, until: steps.b.output == 'yes'}}"


LOOPED = """\
steps:
  - id: g
    for_each: [a, b]
    command: effect ${{ item }} --log log
    retry: {attempts: 1, until: item == 'a'}
"""


@pytest.mark.parametrize(
    ("text", "before", "after"),
    [
        (f"steps: [{{id: g, steps: [effect a --log log, {INNER}]}}]\n", ["a", "b"], ["b"]),
        ("steps: [{id: g, runbook: other.yml}]\n", ["a", "b"], ["b"]),
        (LOOPED, ["a", "b"], ["b"]),
    ],
    ids=["group", "call", "loop"],
)
def test_the_until_of_a_step_does_not_restart_the_groups_around_it(
    tmp_path: Path, text: str, before: list[str], after: list[str]
) -> None:
    (tmp_path / "other.yml").write_text(f"steps: [effect a --log log, {INNER}]\n")
    run(tmp_path, text)
    assert resume(tmp_path).exit_code == 1
    assert effects(tmp_path) == before + after


def test_a_group_with_a_false_until_starts_over_in_every_attempt_of_the_run(tmp_path: Path) -> None:
    text = """\
steps:
  - id: g
    retry: {attempts: 1, until: steps.two.output == 'yes'}
    steps:
      - {id: one, command: effect one --log log, idempotent: true}
      - {id: two, command: effect two --log log --output no, capture: text}
"""
    run(tmp_path, text)
    resume(tmp_path)
    die("g", "one")
    StepRun.objects.filter(run_attempt=1, step_id="one").update(status="succeeded")
    StepRun.objects.filter(run_attempt=1, step_id="g").update(status="failed")
    resume(tmp_path)
    assert effects(tmp_path) == ["one", "two"] * 3


def test_a_called_runbook_with_a_false_until_starts_over(tmp_path: Path) -> None:
    (tmp_path / "other.yml").write_text("steps: [effect a --log log]\n")
    run(tmp_path, "steps: [{id: call, runbook: other.yml, retry: {attempts: 2, delay: 0s, until: 1 == 2}}]\n")
    assert resume(tmp_path).exit_code == 1
    assert effects(tmp_path) == ["a"] * 4


RETRIED = """\
steps:
  - id: group
    retry: {attempts: 2, delay: 0s}
    steps:
      - {id: prepare, command: effect prepare --log log, idempotent: true}
      - {id: middle, command: effect middle --log log}
      - {id: work, command: effect work --log log --fail-if broken}
"""


def test_a_retry_of_a_group_in_a_resumed_run_begins_with_its_first_step(tmp_path: Path) -> None:
    fail_now(tmp_path)
    run(tmp_path, RETRIED)
    assert effects(tmp_path) == ["prepare", "middle", "work"] * 2
    resume(tmp_path)
    # It continues where it failed, and its retry begins with the first step.
    assert effects(tmp_path)[6:] == ["work", "prepare", "middle", "work"]
    fix(tmp_path)
    assert resume(tmp_path).exit_code == 0
    assert effects(tmp_path)[10:] == ["work"]


def test_steps_completed_before_a_retry_of_their_group_do_not_count(tmp_path: Path) -> None:
    fail_now(tmp_path)
    run(tmp_path, RETRIED)
    fix(tmp_path)
    # Killed in the first step of the second attempt.
    die("group", "prepare")
    StepRun.objects.filter(step_id="prepare", attempt=1).update(status="succeeded")
    StepRun.objects.filter(step_id="group", attempt=1).update(status="failed")
    assert list(StepRun.objects.filter(status="succeeded").values_list("step_id", flat=True)) == ["prepare", "middle"]
    assert resume(tmp_path).exit_code == 0
    assert effects(tmp_path)[6:] == ["prepare", "middle", "work"]


@pytest.mark.parametrize(("output", "count"), [(1, 1), (0, 2)])
def test_the_until_of_an_atomic_step_is_evaluated_by_the_resumed_run(tmp_path: Path, output: int, count: int) -> None:
    text = """\
steps:
  - id: one
    command: effect one --log log --output 1
    capture: json
    atomic: true
    retry: {attempts: 3, delay: 0s, until: steps.one.output == 1}
"""
    run(tmp_path, text)
    die("one")
    StepRun.objects.update(status="succeeded", output=[output])
    assert resume(tmp_path).exit_code == 0
    assert effects(tmp_path) == ["one"] * count


def test_a_group_with_a_false_until_does_not_start_over_in_a_completed_group(tmp_path: Path) -> None:
    fail_now(tmp_path)
    text = """\
steps:
  - id: outer
    continue_on_error: true
    steps:
      - id: sub
        retry: {attempts: 1, until: 1 == 2}
        steps:
          - {id: x, command: effect x --log log --output hello, capture: text}
  - {id: late, command: "effect ${{ steps.x.output }} --log log --fail-if broken"}
"""
    run(tmp_path, text)
    fix(tmp_path)
    new = "          - {id: z, command: noop}\n  - {id: late"
    assert resume(tmp_path, text.replace("  - {id: late", new)).exit_code == 2
    assert resume(tmp_path, text).exit_code == 0
    assert effects(tmp_path) == ["x", "hello", "hello"]
