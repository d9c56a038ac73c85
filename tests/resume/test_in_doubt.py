"""Tests which interrupted steps are in doubt, and how a person resolves them."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest
from pytest_django import Settings

from django_runbook.models import Run, StepRun
from tests.journal.support import die, effects, resume
from tests.resume.support import TWO
from tests.runner.support import run
from tests.testapp.models import Row

pytestmark = pytest.mark.django_db


def test_an_interrupted_step_is_in_doubt(tmp_path: Path) -> None:
    run(tmp_path, TWO)
    die("two")
    ended = resume(tmp_path)
    assert ended.exit_code == 2
    assert "--rerun two" in ended.errors
    assert "--skip two" in ended.errors
    assert effects(tmp_path) == ["one", "two"]
    assert Run.objects.get().attempt_count == 1


def test_an_interrupted_handler_is_not_in_doubt(tmp_path: Path) -> None:
    run(tmp_path, "steps: [effect one --log log]\nfinally: [{id: clean, command: effect clean --log log}]\n")
    die("clean")
    assert resume(tmp_path).exit_code == 0
    assert effects(tmp_path) == ["one", "clean", "clean"]


@pytest.mark.parametrize(
    ("answer", "exit_code", "effects_after"),
    [
        ("r", 0, ["one", "two", "two"]),
        ("s", 0, ["one", "two"]),
        ("", 2, ["one", "two"]),
        ("?", 2, ["one", "two"]),
        ("x\nwhat\nR", 0, ["one", "two", "two"]),
    ],
    ids=["rerun", "skip", "nothing", "unknown", "asked twice"],
)
def test_the_question_is_asked_at_a_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str, exit_code: int, effects_after: list[str]
) -> None:
    run(tmp_path, TWO)
    die("two")
    terminal = io.StringIO(f"{answer}\n")
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stdin", terminal)
    ended = resume(tmp_path)
    assert ended.exit_code == exit_code
    assert effects(tmp_path) == effects_after
    assert "[r]un it again" in "".join(ended.shown)


@pytest.mark.parametrize("key", ["idempotent", "atomic"])
def test_an_idempotent_or_atomic_step_runs_again(tmp_path: Path, key: str) -> None:
    run(tmp_path, f"steps:\n  - {{id: one, command: effect one --log log, {key}: true}}\n")
    die("one")
    assert resume(tmp_path).exit_code == 0
    assert effects(tmp_path) == ["one", "one"]


def test_a_repeatable_command_of_django_runs_again_without_a_question(tmp_path: Path) -> None:
    run(tmp_path, "steps: [{id: one, command: clearsessions}, {id: two, command: check, tags: [a]}]")
    die("one", "two")
    ended = resume(tmp_path)
    assert (ended.exit_code, ended.result("one")["is_past"], ended.result("one")["status"]) == (0, False, "succeeded")


@pytest.mark.parametrize(
    "text",
    [
        "steps: [{id: one, command: clearsessions, idempotent: false}]",
        "defaults: {idempotent: false}\nsteps: [{id: one, command: clearsessions}]",
        "steps: [{id: one, command: prune_runs, idempotent: false}]",
    ],
    ids=["step", "defaults", "batch command"],
)
def test_the_idempotent_key_overrides_the_list_of_repeatable_commands(tmp_path: Path, text: str) -> None:
    run(tmp_path, text)
    die("one")
    ended = resume(tmp_path)
    assert ended.exit_code == 2
    assert "--rerun one" in ended.errors
    assert resume(tmp_path, rerun=["one"]).exit_code == 0


@pytest.mark.parametrize(("step", "code"), [("", 0), (", idempotent: false", 2), (", idempotent: true", 0)])
def test_a_project_lists_its_repeatable_commands(tmp_path: Path, settings: Settings, step: str, code: int) -> None:
    run(tmp_path, f"steps:\n  - {{id: one, command: effect one --log log{step}}}\n")
    die("one")
    settings.RUNBOOK = {**settings.RUNBOOK, "IDEMPOTENT": ["effect"]}
    assert resume(tmp_path).exit_code == code
    assert effects(tmp_path) == ["one"] * (1 if code else 2)


def test_a_batch_command_continues(tmp_path: Path) -> None:
    run(tmp_path, "steps:\n  - {id: rows, command: prune_runs}\n")
    die("rows")
    assert resume(tmp_path).exit_code == 0


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("until", "attempts", "is_killed", "count"),
    [
        ("steps.seen.output.ready", 1, False, 2),
        ("steps.seen.output.other", 1, False, 2),
        ("steps.seen.output.ready", 3, True, 5),
    ],
    ids=["not-met", "no-value", "killed-after-the-last-call"],
)
def test_a_batch_command_with_until_repeats_no_completed_call(
    tmp_path: Path, until: str, attempts: int, count: int, *, is_killed: bool
) -> None:
    Row.objects.bulk_create([Row() for _ in range(6)])
    text = f"""\
steps:
  - {{id: seen, command: show_file seen, capture: json}}
  - {{id: rows, command: count_rows, retry: {{attempts: {attempts}, delay: 0s, until: {until}}}}}
"""
    (tmp_path / "seen").write_text('{"ready": false}')
    run(tmp_path, text)
    if is_killed:
        die("rows")
        StepRun.objects.filter(attempt__lt=attempts).update(status="failed")
    assert resume(tmp_path).exit_code == 1
    assert set(Row.objects.values_list("count", flat=True)) == {count}
