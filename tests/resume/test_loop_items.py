"""Tests that a resumed loop recognizes its items."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.core.management.base import CommandError

from django_runbook.batch.source_command import SourceCommand
from tests.journal.support import effects, resume
from tests.resume.support import TWO, fail_and_end_early, fail_now, fix
from tests.runner.support import run

pytestmark = pytest.mark.django_db


def test_changed_items_are_refused(tmp_path: Path) -> None:
    fail_now(tmp_path)
    text = "steps:\n  - {id: load, command: 'effect ${{ item }} --log log', for_each: [a, b]}\n" + TWO.removeprefix(
        "steps:\n"
    )
    run(tmp_path, text)
    ended = resume(tmp_path, text.replace("[a, b]", "[x, a, b]"), accept_changes=True)
    assert ended.exit_code == 2
    assert 'number 1 was "effect (a)" and is "x" now' in ended.errors


@pytest.mark.parametrize("items", ["[hidden-c]", "[]"])
def test_changed_items_of_a_loop_with_no_log_are_named_by_their_numbers(tmp_path: Path, items: str) -> None:
    text = "steps: [{no_log: true, steps: [{id: load, command: fail, for_each: [hidden-a]}]}]"
    run(tmp_path, text)
    ended = resume(tmp_path, text.replace("[hidden-a]", items), accept_changes=True)
    assert 'number 1 was "fail (1)"' in ended.errors
    assert "hidden" not in ended.errors


def test_items_are_compared_beyond_their_shortened_labels(tmp_path: Path) -> None:
    fail_now(tmp_path)
    text = """\
steps:
  - id: load
    command: effect ${{ item.day }} --log log --fail-if broken
    for_each:
      - {path: PATH, day: 1}
      - {path: PATH, day: 2}
""".replace("PATH", "x" * 80)
    run(tmp_path, text)
    ended = resume(tmp_path, text.replace("day: 1", "day: 3"), accept_changes=True)
    assert (ended.exit_code, effects(tmp_path)) == (2, ["1"])
    assert 'the items of "load" have changed: number 1' in ended.errors


@pytest.mark.parametrize("name", ["Load", "Load ${{ item }}"])
def test_a_loop_may_be_renamed(tmp_path: Path, name: str) -> None:
    fail_now(tmp_path)
    text = """\
steps:
  - id: load
    name: Take ${{ item }}
    command: effect ${{ item }} --log log
    options: {fail-if: "${{ 'broken' if item == 'b' else 'nothing' }}"}
    for_each: [a, b]
"""
    run(tmp_path, text)
    fix(tmp_path)
    assert resume(tmp_path, text.replace("Take ${{ item }}", name)).exit_code == 0
    assert effects(tmp_path) == ["a", "b", "b"]


FIRST_AND_LOOP = """\
steps:
  - {id: first, command: effect first --log log --fail-if first-broken}
  - id: load
    command: effect ${{ item }} --log log
    options: {fail-if: "${{ 'broken' if item == 'b' else 'nothing' }}"}
    for_each: [a, b, c]
"""


def test_changed_items_are_refused_after_an_attempt_that_did_not_reach_them(tmp_path: Path) -> None:
    fail_and_end_early(tmp_path, FIRST_AND_LOOP)
    ended = resume(tmp_path, FIRST_AND_LOOP.replace("[a, b", "[x, b"), accept_changes=True)
    assert ended.exit_code == 2
    assert "number 1 was" in ended.errors


def test_changed_items_that_are_known_only_at_run_time_fail_the_loop(tmp_path: Path) -> None:
    fail_now(tmp_path)
    text = """\
steps:
  - {id: source, command: show_file items, capture: lines}
  - id: load
    command: effect ${{ item }} --log log
    options: {fail-if: "${{ 'broken' if item == 'b' else 'nothing' }}"}
    for_each: ${{ steps.source.output }}
"""
    (tmp_path / "items").write_text("a\nb\n")
    assert run(tmp_path, text).exit_code == 1
    fix(tmp_path)
    (tmp_path / "items").write_text("new\na\nb\n")
    ended = resume(tmp_path, rerun=["source"])
    assert ended.exit_code == 1
    assert 'number 1 was "effect (a)" and is "new" now' in ended.result("load")["failure"]["message"]
    assert effects(tmp_path) == ["a", "b"]


@pytest.mark.parametrize(
    ("text", "answers"),
    [
        (
            """\
steps:
  - {id: source, command: show_file items, capture: lines}
  - id: load
    for_each: ${{ steps.source.output }}
    steps: ["effect a-${{ item }} --log log", "effect b-${{ item }} --log log --fail-if broken"]
""",
            {},
        ),
        (
            """\
steps:
  - {id: source, command: show_file items, capture: lines}
  - {id: load, command: "effect ${{ item }} --log log --fail-if broken", for_each: "${{ steps.source.output }}"}
""",
            {"skip": ["load[2]"]},
        ),
    ],
    ids=["done in a group that failed", "counted as done"],
)
def test_a_new_item_does_not_inherit_the_completed_steps_of_another(
    tmp_path: Path, text: str, answers: dict[str, Any]
) -> None:
    fail_now(tmp_path)
    (tmp_path / "items").write_text("x\ny\nz\n")
    assert run(tmp_path, text).exit_code == 1
    if answers:
        assert resume(tmp_path, **answers).exit_code == 1
    fix(tmp_path)
    before = effects(tmp_path)
    (tmp_path / "items").write_text("x\nnew\ny\nz\n" if answers else "new\nx\ny\nz\n")
    ended = resume(tmp_path, rerun=["source"])
    assert (ended.exit_code, effects(tmp_path)) == (1, before)
    assert 'the items of "load" have changed' in ended.result("load")["failure"]["message"]


def test_a_skipped_item_is_not_compared(tmp_path: Path) -> None:
    fail_now(tmp_path)
    text = """\
steps:
  - id: load
    name: Load ${{ item }}
    command: effect ${{ item }} --log log
    options: {fail-if: "${{ 'broken' if item == 'b' else 'nothing' }}"}
    for_each: [a, b, c, d]
"""
    assert run(tmp_path, text).exit_code == 1
    fix(tmp_path)
    assert resume(tmp_path, skip=["load[3]"]).exit_code == 0
    assert effects(tmp_path) == ["a", "b", "b", "d"]


def test_a_loop_without_completed_items_may_be_fixed(tmp_path: Path) -> None:
    fail_now(tmp_path)
    text = "steps:\n  - {id: load, command: 'effect ${{ item }} --log log --fail-if broken', for_each: [a, b]}\n"
    run(tmp_path, text, keep_going=True)
    assert resume(tmp_path, text.replace(" --fail-if broken", "")).exit_code == 0
    assert effects(tmp_path) == ["a", "b", "a", "b"]


@pytest.mark.parametrize("shards", ["4", "auto"])
def test_a_resumed_run_keeps_the_number_of_shards_that_auto_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shards: str
) -> None:
    monkeypatch.setattr("django_runbook.checking.processor_count", lambda: 1)
    text = "steps:\n  - {id: fill, command: backfill_delay_class, shards: auto}\n" + TWO.removeprefix("steps:\n")
    fail_now(tmp_path)
    first = run(tmp_path, text)
    assert [step_id for step_id in first.statuses if step_id.startswith("fill[")] == [f"fill[{n}]" for n in range(1, 9)]
    fix(tmp_path)
    monkeypatch.setattr("django_runbook.checking.processor_count", lambda: 2)
    ended = resume(tmp_path, text.replace("auto", shards), accept_changes=True)
    if shards == "auto":
        assert (ended.exit_code, len(ended.statuses)) == (0, len(first.statuses))
    else:
        assert ended.exit_code == 2
        assert (
            'the items of "fill" have changed: number 1 was "backfill_delay_class (1/8)" and is "1/4"' in ended.errors
        )


def test_the_shards_of_a_pass_have_the_same_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    called = list[str]()

    def handle(command: SourceCommand, *args: Any, **options: Any) -> None:
        called.append(options["call_key"].partition("fill")[2])
        if called == ["[1]", "[2]"]:
            raise CommandError("the second shard fails once")

    monkeypatch.setattr(SourceCommand, "handle", handle)
    text = """\
steps:
  - id: all
    retry: {attempts: 3, delay: 0s}
    steps:
      - {id: fill, command: backfill_delay_class, shards: 2, max_parallel: 1}
      - fail --code 3
"""
    assert run(tmp_path, text).exit_code == 1
    # The second attempt of the group completes the first pass; the third one processes all shards for another time.
    assert called == ["[1]", "[2]", "[1]", "[2]", "[1]:2", "[2]:2"]
    assert resume(tmp_path, text).exit_code == 1
    assert called[6:] == ["[1]:3", "[2]:3", "[1]:4", "[2]:4"]
