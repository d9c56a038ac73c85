"""``runbook``: a file that another one runs, with values for its parameters."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.runner.support import run

INNER = """
params:
  day: {type: date}
  loud: false
vars: {text: "on ${{ params.day }}"}
steps:
  - id: one
    command: say ${{ vars.text }} ${{ params.loud }}
    capture: text
  - say inner ${{ steps.one.output }}
finally: [say inner end]
"""


def test_the_inner_runbook_runs_with_its_parameters_and_its_finally(tmp_path: Path) -> None:
    (tmp_path / "inner.yml").write_text(INNER)
    text = """
params: {day: {type: date, default: "2013-01-31"}}
steps:
  - {id: one, command: say outer, capture: text}
  - id: weekly
    runbook: inner.yml
    params: {day: "${{ params.day }}", loud: true}
  - say ${{ steps.one.output }} ${{ steps.weekly.status }}
"""
    finished = run(tmp_path, text)
    assert finished.statuses == {
        "one": "succeeded",
        "weekly/one": "succeeded",
        "weekly/say": "succeeded",
        "weekly/say-2": "succeeded",
        "weekly": "succeeded",
        "say": "succeeded",
    }
    assert finished.output("weekly/say") == ["inner on 2013-01-31 true"]
    assert finished.output("weekly/say-2") == ["inner end"]
    assert finished.output("say") == ["outer succeeded"]
    assert finished.result("weekly/one")["file"].endswith("inner.yml")


@pytest.mark.parametrize(("type_", "value"), [("date", "now"), ("datetime", "today")])
def test_a_date_and_a_time_of_a_day_are_two_types(tmp_path: Path, type_: str, value: str) -> None:
    (tmp_path / "inner.yml").write_text(f"params: {{when: {{type: {type_}}}}}\nsteps: [noop]")
    text = f'steps: [{{runbook: inner.yml, params: {{when: "${{{{ {value} }}}}"}}}}]'
    finished = run(tmp_path, text)
    assert finished.exit_code == 2


def test_parameters_can_come_from_an_output(tmp_path: Path) -> None:
    (tmp_path / "inner.yml").write_text(INNER)
    text = """
steps:
  - {id: day, command: say 2013-02-01, capture: text}
  - {runbook: inner.yml, params: {day: "${{ steps.day.output }}"}}
"""
    assert run(tmp_path, text).output("inner/say") == ["inner on 2013-02-01 false"]
    finished = run(tmp_path, text.replace("2013-02-01", "soon"))
    assert '"soon" is not a date' in finished.result("inner")["failure"]["message"]
    assert "inner/one" not in finished.statuses


def test_a_failure_inside_is_the_failure_of_the_step_and_finally_runs_inside(tmp_path: Path) -> None:
    (tmp_path / "inner.yml").write_text("steps: [fail --code 7, noop]\nfinally: [say inner end]\n")
    finished = run(tmp_path, "steps: [{runbook: inner.yml, continue_on_error: [7]}, say after]")
    assert finished.statuses["inner/noop"] == "not_run"
    assert (finished.status, finished.exit_code) == ("warning", 0)
    assert finished.output("inner/say") == ["inner end"]
    assert finished.output("say") == ["after"]


@pytest.mark.slow
def test_a_runbook_runs_for_each_item(tmp_path: Path) -> None:
    (tmp_path / "inner.yml").write_text("params: {name: {type: string}}\nsteps: ['say ${{ params.name }}']\n")
    text = "steps: [{id: each, runbook: inner.yml, params: {name: '${{ item }}'}, for_each: [a, b], max_parallel: 2}]"
    finished = run(tmp_path, text)
    assert (finished.output("each/say[1]"), finished.output("each/say[2]")) == (["a"], ["b"])


def test_the_same_file_can_be_called_twice(tmp_path: Path) -> None:
    (tmp_path / "inner.yml").write_text("steps: [noop]\n")
    assert run(tmp_path, "steps: [{runbook: inner.yml}, {runbook: inner.yml}]").statuses == {
        "inner/noop": "succeeded",
        "inner": "succeeded",
        "inner-2/noop": "succeeded",
        "inner-2": "succeeded",
    }


@pytest.mark.only("inline")
@pytest.mark.parametrize(
    ("inner", "params", "place", "words"),
    [
        (INNER, "{}", "test.yml:1:19", 'the parameter "day" has no value'),
        (INNER, "{day: soon}", "test.yml:1:44", '"soon" is not a date'),
        (INNER, "{day: 2013-01-31, lowd: true}", "test.yml:1:56", 'has no parameter "lowd"; did you mean "loud"?'),
        ("steps: [nope]", "{}", "inner.yml:1:9", 'unknown command "nope"'),
        (
            "steps: [{runbook: test.yml}]",
            "{}",
            "inner.yml:1:19",
            "calls itself: test.yml → inner.yml → test.yml",
        ),
        ("steps: [{runbook: missing.yml}]", "{}", "inner.yml:1:19", 'runbook "missing.yml" was not found'),
        ("steps: [", "{}", "inner.yml", "error[RB1"),
        ("", "{}", "inner.yml:1:1", "the file is empty"),
    ],
    ids=["missing", "bad", "unknown", "command", "cycle", "file", "syntax", "empty"],
)
def test_an_error_inside_is_reported_before_anything_runs(
    tmp_path: Path, inner: str, params: str, place: str, words: str
) -> None:
    (tmp_path / "inner.yml").write_text(inner)
    finished = run(tmp_path, f"steps: [{{runbook: inner.yml, params: {params}}}]")
    assert finished.exit_code == 2
    assert finished.events == []
    assert f"{place}" in finished.errors
    message = re.sub(r"\n  \d+ \|.*\n.*\n *= help: ", "; ", finished.errors)
    assert words in message


def test_secrets_of_an_inner_runbook_are_asked_for_and_masked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "inner.yml").write_text("secrets: [TOKEN]\nsteps: ['say ${{ secrets.TOKEN }}']\n")
    monkeypatch.delenv("TOKEN", raising=False)
    assert 'the secret "TOKEN" is not in the environment' in run(tmp_path, "steps: [{runbook: inner.yml}]").errors
    monkeypatch.setenv("TOKEN", "hunter22")
    assert run(tmp_path, "steps: [{runbook: inner.yml}, say hunter22]").output("say") == ["***"]


def test_the_inner_runbook_is_found_beside_the_outer_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "inner.yml").write_text("steps: [noop]\n")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert run(tmp_path, "steps: [{runbook: inner.yml}]").exit_code == 0


def test_a_step_inside_is_selected_with_the_names_of_both(tmp_path: Path) -> None:
    (tmp_path / "inner.yml").write_text("steps: [say one, {id: two, command: say two}]\n")
    finished = run(tmp_path, "steps: [{runbook: inner.yml}, say three]", only=["inner/two"])
    assert {step_id for step_id, status in finished.statuses.items() if status == "succeeded"} == {"inner", "inner/two"}
