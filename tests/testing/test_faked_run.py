from __future__ import annotations

import datetime
import time
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError
from django.db import OperationalError

from django_runbook.exceptions import InvalidRunbook, InvalidUsage
from django_runbook.testing import FakeCall, FakedRun, Selection, UnfakedCommandError, run


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def play(folder: Path, text: str, **given: Any) -> FakedRun:
    (folder / "nightly.yml").write_text(text if "steps:" in text else f"steps: [{text}]")
    return run("nightly.yml", **given)


def test_a_run_has_statuses_calls_outputs_and_the_plan(folder: Path) -> None:
    text = """
params: {day: {type: date}}
steps:
  - {id: late, command: "say ${{ params.day }}", capture: json}
  - {command: "noop", when: steps.late.output.total > 5}
  - "parse_typed --count ${{ steps.late.output.total }}"
"""
    found = play(folder, text, params={"day": "2013-01-31"}, fake={"late": {"total": 3}, "parse_typed": ""})
    assert (found.status, found.exit_code) == ("succeeded", 0)
    assert found.statuses == {"late": "succeeded", "noop": "skipped", "parse_typed": "succeeded"}
    assert [(call.step_id, call.command, call.argv) for call in found.calls] == [
        ("late", "say", ("2013-01-31",)),
        ("parse_typed", "parse_typed", ("--count", "3")),
    ]
    assert found.outputs == {"late": {"total": 3}}
    assert "  say 2013-01-31\n" in found.plan
    assert [call.options["count"] for call in found.calls_of("parse_typed")] == [3]


@pytest.mark.parametrize(
    ("answer", "status", "exit_code"),
    [
        pytest.param("text", "succeeded", 0, id="output"),
        pytest.param(None, "succeeded", 0, id="nothing"),
        pytest.param(0, "succeeded", 0, id="exit code 0"),
        pytest.param(3, "failed", 1, id="exit code"),
        pytest.param(OperationalError("gone"), "failed", 1, id="exception"),
        pytest.param(OperationalError, "failed", 1, id="class of an exception"),
        pytest.param(SystemExit(0), "succeeded", 0, id="exit"),
        pytest.param(lambda call: call.command, "succeeded", 0, id="function"),
        pytest.param(lambda call: 3, "failed", 1, id="function with an exit code"),
        pytest.param(True, "failed", 1, id="no answer"),
        pytest.param(object(), "failed", 1, id="no answer either"),
    ],
)
def test_a_fake_is_an_output_an_exit_code_an_exception_or_a_function(
    answer: object, status: str, exit_code: int, folder: Path
) -> None:
    found = play(folder, "noop", fake={"noop": answer})
    assert (found.status, found.exit_code) == ("succeeded" if status == "succeeded" else "failed", exit_code)
    assert found.statuses == {"noop": status}


def test_the_failure_of_a_fake_is_that_of_its_command(folder: Path) -> None:
    [step] = play(folder, "noop", fake={"noop": CommandError("no disk", returncode=7)}).result.steps
    assert step.failure is not None
    assert (step.failure.error_type, step.failure.message, step.failure.exit_code) == ("CommandError", "no disk", 7)


def test_a_list_has_an_answer_for_each_attempt_and_nothing_waits(folder: Path) -> None:
    started = time.monotonic()
    text = "{command: noop, retry: {attempts: 3, delay: 1h}}, {retry: {attempts: 2, delay: 1h}, parallel: [say a]}"
    found = play(folder, text, fake={"noop": [1, OperationalError, "ok"], "say": [1, "ok"]})
    assert found.status == "succeeded"
    assert [call.attempt for call in found.calls] == [1, 2, 3, 1, 2]
    assert time.monotonic() - started < 60


def test_a_list_that_is_too_short_fails_the_test(folder: Path) -> None:
    with pytest.raises(UnfakedCommandError, match='the fake "noop" has 1 answers, but call 2 was made'):
        play(folder, "{command: noop, retry: 2}", fake={"noop": [1]})


@pytest.mark.parametrize("name", ["say[2]", "word", "say"])
def test_a_step_is_faked_by_its_item_its_id_or_its_command(name: str, folder: Path) -> None:
    text = "{id: word, command: 'say ${{ item }}', for_each: [a, b]}"
    if name == "say[2]":
        text = text.replace("id: word, ", "")
    found = play(folder, text, fake={"say": "", name: lambda call: call.argv[0]} if name == "say[2]" else {name: ""})
    assert len(found.calls_of(name)) == (1 if name == "say[2]" else 2)


def test_the_steps_of_a_called_runbook_are_faked_too(folder: Path) -> None:
    (folder / "inner.yml").write_text("steps: [{id: deep, command: noop}]")
    found = play(folder, "{runbook: inner.yml}", fake={"deep": ""})
    assert found.statuses == {"inner/deep": "succeeded", "inner": "succeeded"}


def test_a_command_without_a_fake_fails_the_test(folder: Path) -> None:
    with pytest.raises(UnfakedCommandError, match='"say" \\(step "say"\\) has no fake'):
        play(folder, "noop, say a", fake={"noop": ""})


def test_a_command_that_does_not_run_needs_no_fake(folder: Path) -> None:
    text = "noop, {command: say a, when: steps.noop.status == 'failed'}"
    assert play(folder, text, fake={"noop": ""}).statuses["say"] == "skipped"


def test_a_fake_that_names_nothing_fails_the_test(folder: Path) -> None:
    with pytest.raises(UnfakedCommandError, match='the fake "nop" matches no step and no command; did you mean "noop"'):
        play(folder, "noop", fake={"noop": "", "nop": ""})


def test_arguments_are_checked_by_the_parser_of_the_command(folder: Path) -> None:
    with pytest.raises(InvalidRunbook, match="RB403"):
        play(folder, "noop --nope", fake={"noop": ""})
    late = "{id: one, command: say, capture: text}, 'parse_typed --count ${{ steps.one.output }}'"
    [_, step] = play(folder, late, fake={"one": "many", "parse_typed": ""}).result.steps
    assert step.status == "failed"


def test_the_time_and_parameters_of_each_type_are_given(folder: Path) -> None:
    text = (
        "params: {day: {type: date}, n: 1, words: [a]}\nsteps: ['say ${{ today }} ${{ params.day }} ${{ params.n }}']"
    )
    for day in ("2013-02-01", datetime.date(2013, 2, 1)):
        found = play(folder, text, params={"day": day, "n": 5}, now=datetime.date(2013, 1, 31), fake={"say": ""})
        assert found.calls[0].argv == ("2013-01-31", "2013-02-01", "5")
    moment = datetime.datetime(2013, 1, 31, 23, tzinfo=datetime.UTC)
    assert play(folder, "'say ${{ now }}'", now=moment, fake={"say": ""}).calls[0].argv == (
        "2013-01-31T23:00:00+00:00",
    )


def test_a_missing_parameter_and_an_unknown_secret_are_refused(folder: Path) -> None:
    with pytest.raises(InvalidUsage, match='the parameter "day" has no value'):
        play(folder, "params: {day: {type: date}}\nsteps: [noop]", fake={"noop": ""})
    with pytest.raises(InvalidUsage, match='the runbook has no secret "API_KEY"'):
        play(folder, "noop", secrets={"API_KEY": "hunter22"}, fake={"noop": ""})


def test_secrets_have_a_value_and_are_masked(folder: Path) -> None:
    text = "secrets: [API_KEY]\nsteps: ['say ${{ secrets.API_KEY }}']"
    assert play(folder, text, fake={"say": ""}).calls[0].argv == ("made-up API_KEY",)
    found = play(folder, text, secrets={"API_KEY": "hunter22"}, fake={"say": "hunter22"})
    assert found.calls[0].argv == ("hunter22",)
    assert "hunter22" not in str(found.events) + found.plan


def test_environment_variables_are_those_of_the_test(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGION", "that of the process")
    text = "env: [REGION, {name: BUCKET, default: reports}]\nsteps: ['say ${{ env.REGION }} ${{ env.BUCKET }}']"
    assert play(folder, text, env={"REGION": "eu"}, fake={"say": ""}).calls[0].argv == ("eu", "reports")
    both = {"REGION": "eu", "BUCKET": "b"}
    assert play(folder, text, env=both, fake={"say": ""}).calls[0].argv == ("eu", "b")
    with pytest.raises(InvalidUsage, match='the environment variable "REGION" is not set'):
        play(folder, text, fake={"say": ""})
    with pytest.raises(InvalidUsage, match='the runbook has no environment variable "REGOIN"'):
        play(folder, text, env={"REGOIN": "eu"}, fake={"say": ""})


def test_a_fake_sees_the_standard_input(folder: Path) -> None:
    text = "{command: say, stdin: 'yes ${{ today.year }}'}, {id: without, command: say}"
    found = play(folder, text, now=datetime.date(2013, 1, 31), fake={"say": ""})
    assert [call.stdin for call in found.calls] == ["yes 2013", None]


def test_a_fake_sees_the_variables_of_the_command(folder: Path) -> None:
    text = "{command: say, env: {A: 1.50, B: null, C: '${{ today.year }}', D: true}}"
    found = play(folder, text, now=datetime.date(2013, 1, 31), fake={"say": ""})
    assert found.calls[0].env == {"A": "1.50", "B": None, "C": "2013", "D": "true"}


def test_questions_are_answered_and_steps_are_selected(folder: Path) -> None:
    text = "{command: noop, confirm: Sure?}, say a"
    assert play(folder, text, fake={"noop": "", "say": ""}).status == "succeeded"
    assert play(folder, text, yes=False, fake={"noop": "", "say": ""}).statuses["noop"] == "failed"
    found = play(folder, text, selected=Selection(only=("say",)), fake={"say": ""})
    assert found.statuses == {"noop": "skipped", "say": "succeeded"}


def test_handlers_see_the_failure(folder: Path) -> None:
    text = "steps: [noop]\non_failure: ['say ${{ run.failed_step }} ${{ run.error }}']"
    found = play(folder, text, fake={"noop": CommandError("no disk"), "say": ""})
    assert found.calls_of("say")[0].argv == ("noop", "no", "disk") or found.calls_of("say")[0].argv == (
        "noop",
        "no disk",
    )


def test_an_atomic_step_keeps_its_output(folder: Path) -> None:
    text = "{id: one, command: say, atomic: true, capture: text}, 'say ${{ steps.one.output }}'"
    assert play(folder, text, fake={"say": "hello"}).outputs == {"one": "hello"}


def test_an_invalid_file_is_shown(folder: Path) -> None:
    with pytest.raises(InvalidRunbook, match="RB208"):
        play(folder, "steps:")
    (folder / "list.yml").write_text("[]")
    with pytest.raises(InvalidRunbook, match="RB200"):
        run("list.yml")


def test_a_function_receives_the_call(folder: Path) -> None:
    calls: list[FakeCall] = []
    play(folder, "{id: one, command: parse_typed --count 3}", fake={"one": calls.append})
    assert [(call.step_id, call.options["count"]) for call in calls] == [("one", 3)]


def test_a_command_that_is_not_a_base_command_has_no_options(folder: Path) -> None:
    assert play(folder, "greet Ada", fake={"greet": ""}).calls[0].options == {}


def test_an_assertion_in_a_function_fails_the_test(folder: Path) -> None:
    def check(call: FakeCall) -> None:
        assert call.argv == ("b",)

    with pytest.raises(AssertionError, match="a"):
        play(folder, "say a", fake={"say": check})
