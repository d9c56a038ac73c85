"""Tests resumes after outputs that were not stored."""

from __future__ import annotations

from pathlib import Path

import pytest

from django_runbook.models import Run, StepRun
from django_runbook.models.fields import JSONText
from tests.journal.support import resume
from tests.resume.support import fail_now, fix
from tests.runner.support import run

pytestmark = pytest.mark.django_db


def test_an_output_with_a_secret_is_not_stored_and_its_step_can_run_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN", "s3cret-token")
    fail_now(tmp_path)
    text = """\
secrets: [TOKEN]
steps:
  - {id: one, command: effect one --log log, options: {output: "${{ secrets.TOKEN }}"}, capture: text}
  - {id: two, command: effect two --log log --fail-if broken, options: {output: "${{ steps.one.output | length }}"}}
"""
    run(tmp_path, text)
    row = StepRun.objects.get(step_id="one")
    assert (row.output, row.is_output_secret) == (None, True)
    fix(tmp_path)
    ended = resume(tmp_path)
    assert ended.exit_code == 2
    assert "--rerun one" in ended.errors
    ended = resume(tmp_path, rerun=["one"])
    assert ended.output("two") == ["12"]
    assert "s3cret" not in repr([*Run.objects.values(), *StepRun.objects.values()])


def test_a_handler_of_a_completed_group_needs_no_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "hunter2hunter2")
    fail_now(tmp_path)
    text = """\
secrets: [TOKEN]
steps:
  - id: group
    steps: [{id: a, command: effect a --log log --output hunter2hunter2, capture: text}]
    finally: [{id: f, command: noop, when: "steps.a.output == 'x'"}]
  - {id: b, command: effect b --log log --fail-if broken}
"""
    run(tmp_path, text)
    fix(tmp_path)
    assert resume(tmp_path).exit_code == 0


def test_only_outputs_that_an_expression_may_read_are_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fail_now(tmp_path)
    (tmp_path / "inner.yml").write_text(
        "steps: [{id: in, command: effect d --log log --output inner, capture: text}, 'say ${{ steps.in.output }}']\n"
    )
    text = """\
steps:
  - {id: unread, command: effect a --log log --output unread-text, capture: text}
  - {id: in, command: effect b --log log --output outer-text, capture: text}
  - {id: loop, command: "effect ${{ item }} --log log --output ${{ item }}-text", for_each: [x, y], capture: text}
  - {id: call, runbook: inner.yml}
  - {id: late, command: effect late --log log --fail-if broken}
  - {id: last, command: "say ${{ steps.loop.output | join('+') }}"}
"""
    assert run(tmp_path, text).exit_code == 1
    fix(tmp_path)
    loaded = []
    load = JSONText.from_db_value

    def noted(field: JSONText, value: str | None, *more: object) -> object:
        loaded.append(value or "")
        return load(field, value, *more)

    monkeypatch.setattr(JSONText, "from_db_value", noted)
    ended = resume(tmp_path)
    assert ended.output("last") == ["x-text+y-text"]
    assert [value for value in loaded if "-text" in value and "--log" not in value] == ['["x-text"]', '["y-text"]']
    assert '["inner"]' in loaded
