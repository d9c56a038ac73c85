"""No secret leaves a run, and no control character, whichever way its output or its errors take."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from django_runbook import api, checking
from django_runbook.exceptions import InvalidUsage
from django_runbook.runner import run as runner
from tests.nasty import NASTY, hidden_in
from tests.patience import PATIENCE_SECONDS
from tests.runner.support import FinishedRun, run, start

SECRET = "hunter2-s3cr3t"
TEXT = """
secrets: [API_TOKEN]
steps:
  - {id: raw, command: say, args: ["raw ${{ secrets.API_TOKEN }}"], options: {to: descriptor}, capture: lines}
  - {id: child, command: say, args: ["child ${{ secrets.API_TOKEN }}"], options: {to: subprocess}, capture: lines}
  - {id: seen, command: say, args: ["seen ${{ steps.raw.output | length }} ${{ steps.child.output | length }}"]}
"""


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_TOKEN", SECRET)


@pytest.mark.slow
@pytest.mark.parametrize("way", ["", "--inline"], ids=["default", "inline"])
def test_output_past_python_is_captured_and_masked_and_json_lines_stay_json(tmp_path: Path, way: str) -> None:
    process = start(tmp_path, TEXT, "--format", "jsonl", *filter(None, [way]))
    out, err = process.communicate(timeout=PATIENCE_SECONDS)
    finished = FinishedRun(events=[json.loads(line) for line in out.splitlines()], exit_code=0, errors=err, shown=[])
    assert (process.returncode, err) == (0, "")
    assert [finished.output(step_id) for step_id in ("raw", "child", "seen")] == [
        ["raw ***"],
        ["child ***"],
        ["seen 1 1"],
    ]


@pytest.mark.parametrize(("owner", "name"), [(checking, "new_binder"), (api, "plan"), (runner, "run")])
def test_the_traceback_of_a_bug_is_masked_wherever_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str
) -> None:
    def fail(*args: object, **options: object) -> None:
        raise RuntimeError(f"a bug with {json.dumps(SECRET)} and {NASTY}")

    monkeypatch.setattr(owner, name, fail)
    finished = run(tmp_path, TEXT)
    assert finished.exit_code == 3
    assert 'a bug with "***"' in finished.errors
    assert SECRET not in finished.errors
    assert hidden_in(finished.errors) == []


def test_the_error_of_a_run_has_no_secret_and_no_cause_that_has_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object, **options: object) -> None:
        raise InvalidUsage(f"wrong: {SECRET}") from ValueError(SECRET)

    monkeypatch.setattr(api, "plan", fail)
    (tmp_path / "test.yml").write_text(TEXT)
    with pytest.raises(CommandError, match=r"wrong: \*\*\*") as raised:
        call_command("run_runbook", str(tmp_path / "test.yml"))
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        ("run_runbook", [f"{NASTY}.yml"]),
        ("check_runbooks", [f"{NASTY}.yml"]),
        ("show_runs", ["--run", "x", "--step", NASTY, "--limit", "-1"]),
        ("wait_for", ["--database", NASTY, "--timeout", "0s"]),
    ],
)
def test_no_error_of_a_command_has_hidden_characters(command: str, arguments: list[str]) -> None:
    with pytest.raises(CommandError) as raised:
        call_command(command, *(argument.replace("\0", "") for argument in arguments))
    assert hidden_in(str(raised.value)) == []


def test_what_a_command_of_ours_writes_is_clean(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "night\x1b]0;owned\x07\u202ely.yml"
    path.write_text('params: {word: x}\nsteps: ["say ${{ params.word }}"]\n')
    call_command("check_runbooks", str(path))
    call_command("run_runbook", str(path), plan=True, param=[f"word={NASTY}"])
    call_command("run_runbook", str(path), list=True)
    shown = capsys.readouterr()
    assert "nightly.yml" in shown.out
    assert hidden_in(shown.out + shown.err) == []
