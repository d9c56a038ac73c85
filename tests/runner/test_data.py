"""Data cannot hurt a run: what an expression makes of it fails its step, and handlers and `finally` run."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest

from tests.runner.support import FinishedRun, run
from tests.slow_cases import slow_if

DATA = {
    "absent": [{"name": "x"}, {"nam": "y"}],
    "mixed": [7, "x", 9],
    "surrogate": "\udcff\ud800",
    "nul": "a\0b",
    "control": "\x1b]0;x\x07\u202e",
    "huge": 10**4000,
    "braces": "${{ steps }}",
    "deep": json.loads("[" * 90 + "]" * 90),
    "null": None,
    "large": ["x" * 1000] * 1000,
}
HEAD = """
steps:
  - {id: data, command: show_file data.json, capture: json}
"""
TAIL = """
  - {id: next, command: say next}
finally:
  - {id: last, command: say last}
"""


def run_step(directory: Path, monkeypatch: pytest.MonkeyPatch, step: str, **options: str) -> FinishedRun:
    monkeypatch.chdir(directory)
    # Only what the step names: the large value alone costs more than the run.
    data = {name: value for name, value in DATA.items() if f"output.{name}" in step}
    (directory / "data.json").write_text(json.dumps(data))
    return run(directory, HEAD + step + TAIL, **options)


@pytest.mark.parametrize(
    "step",
    [
        "{args: ['${{ item }}'], for_each: '${{ steps.data.output.absent | map(attribute=\"name\") | list }}'}",
        "{args: ['${{ item }}'], for_each: '${{ steps.data.output.mixed | select(\"gt\", 5) }}'}",
        "{args: ['n-${{ steps.data.output.huge }}']}",
        "{args: ['${{ steps.data.output.huge }}']}",
        "{args: ['${{ steps.data.output.absent | map(attribute=\"name\") | list }}']}",
        "{args: ['${{ [[steps.data.output.absent[1].name]] }}']}",
        "{options: {to: '${{ steps.data.output.nothing }}'}}",
        "{name: '${{ steps.data.output.mixed }}'}",
        "{name: 'x ${{ steps.data.output.null }}'}",
        "{name: '${{ steps.data.output.absent[1].name }}'}",
        "{lock: '${{ steps.data.output.null }}'}",
        "{lock: '${{ steps.data.output.mixed }}'}",
        "{lock: 'x-${{ steps.data.output.huge }}'}",
        "{confirm: '${{ steps.data.output.mixed }}'}",
        "{when: 'steps.data.output.mixed[0]'}",
        "{when: '(steps.data.output.mixed | sort) == []'}",
        "{when: steps.data.output.absent | map(attribute=\"name\") | join == \"x\"}",
        "{retry: {attempts: 1, until: steps.data.output.nothing == 1}}",
        "{args: ['${{ (steps.data.output.large * 1000) | tojson }}']}",
        "{args: ['${{ steps.data.output.large | join * 100 }}']}",
    ],
)  # fmt: skip
def test_an_expression_without_a_value_fails_its_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    finished = run_step(tmp_path, monkeypatch, f"  - {step.replace('{', '{id: it, command: say, ', 1)}\n")
    assert finished.statuses["it"] == "failed", finished.errors
    assert finished.statuses["next"] == "not_run"
    assert finished.statuses["last"] == "succeeded"
    assert finished.exit_code == 1
    assert finished.status == "failed"


ODD = [
    "{args: ['${{ steps.data.output.NAME }}']}",
    "{options: {to: stdout}, args: ['x${{ steps.data.output.NAME }}']}",
    "{name: 'It is ${{ steps.data.output.NAME }}'}",
    "{lock: 'lock-${{ steps.data.output.NAME }}'}",
    "{lock: '${{ steps.data.output.NAME }}é'}",
    "{for_each: ['${{ steps.data.output.NAME }}']}",
    "{for_each: '${{ [steps.data.output.NAME, steps.data.output.deep] }}', name: 'one ${{ item | length }}'}",
    "{capture: text, args: ['${{ steps.data.output.NAME }}'], retry: {attempts: 1, until: steps.NAME.output != \"\"}}",
]
FORMS = ["jsonl", "plain", "github", "rich"]
# Each form meets two of the steps.
SOME = [*zip(ODD, 2 * FORMS, strict=True)]


def check_odd_text(directory: Path, monkeypatch: pytest.MonkeyPatch, step: str, form: str) -> None:
    step = step.replace("{", "{id: NAME, command: say, ", 1)
    steps = [f"  - {step.replace('NAME', name)}\n" for name in ("surrogate", "nul", "control", "braces")]
    finished = run_step(directory, monkeypatch, "".join(steps), format=form)
    assert finished.exit_code == 0, finished.errors or finished.shown


@pytest.mark.only("inline")
@pytest.mark.parametrize(("step", "form"), slow_if(lambda case: case not in SOME, itertools.product(ODD, FORMS)))
def test_odd_text_goes_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, form: str) -> None:
    check_odd_text(tmp_path, monkeypatch, step, form)


# A process passes text on to the reporters, which are those of the test above.
@pytest.mark.only("isolated")
@pytest.mark.parametrize(("step", "form"), SOME)
def test_odd_text_goes_through_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, form: str) -> None:
    check_odd_text(tmp_path, monkeypatch, step, form)


def test_a_name_is_short_whatever_is_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    finished = run_step(
        tmp_path, monkeypatch, "  - {id: it, command: say, name: '${{ steps.data.output.large | join }}'}\n"
    )
    assert finished.result("it")["name"] == "x" * 199 + "…"


@pytest.mark.parametrize("name", ["''", "' '", '"\\u202e"', "${{ steps.data.output.control[5:] }}"])
def test_a_name_that_cannot_be_seen_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    finished = run_step(tmp_path, monkeypatch, f"  - command: say\n    name: {name}\n")
    assert finished.result("say")["name"] == "say"


def test_confirm_takes_odd_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    step = "  - {id: it, command: say, confirm: 'Delete ${{ steps.data.output.surrogate }}?'}\n"
    finished = run_step(tmp_path, monkeypatch, step)
    assert finished.statuses["it"] == "failed"
    assert finished.statuses["last"] == "succeeded"


def test_until_sees_its_own_step(tmp_path: Path) -> None:
    text = """
steps:
  - id: poll
    command: say ready
    capture: text
    retry:
      attempts: 5
      delay: 0
      until: >-
        steps.poll.attempts == 3 and steps.poll.exit_code == 0 and steps.poll.status == "succeeded"
        and steps.poll.output == "ready" and steps.poll.id == "poll"
"""
    finished = run(tmp_path, text)
    assert finished.exit_code == 0, finished.errors
    assert finished.result("poll")["attempt_count"] == 3


def test_until_of_a_group_counts_its_attempts(tmp_path: Path) -> None:
    text = "steps: [{id: all, steps: [noop], retry: {attempts: 5, delay: 0, until: steps.all.attempts == 2}}]"
    finished = run(tmp_path, text)
    assert finished.exit_code == 0, finished.errors
    assert finished.result("all")["attempt_count"] == 2


def test_null_goes_from_the_parameter_to_the_called_runbook(tmp_path: Path) -> None:
    (tmp_path / "inner.yml").write_text(
        "params: {n: {type: integer, default: 7}, m: {type: integer, default: null}}\n"
        'steps: [{command: "say ${{ params.n }} ${{ params.m is none }}"}]\n'
    )
    text = """
params: {n: {type: integer, default: null}}
steps:
  - {runbook: inner.yml, params: {n: "${{ params.n }}", m: "${{ params.n }}"}}
  - {command: say skipped, when: params.n is not none and params.n > 0}
  - say ${{ params.n is none }}
"""
    finished = run(tmp_path, text)
    assert finished.exit_code == 0, finished.errors
    assert finished.output("inner/say") == ["7 true"]
    assert finished.statuses["say"] == "skipped"
    assert run(tmp_path, text, param=["n="]).output("say-2") == ["true"]
    assert run(tmp_path, text, param=["n=5"]).output("inner/say") == ["5 false"]
