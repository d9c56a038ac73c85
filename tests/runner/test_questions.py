"""What a person at a terminal is asked, and what comes of each answer."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.patience import PATIENCE_SECONDS
from tests.runner.support import run, start


def wait_until_asked(process: subprocess.Popen[str], end: str) -> str:
    """All that was shown when the question that ends so is there; a test that waits in vain fails."""
    assert process.stdout is not None
    shown, deadline = "", time.monotonic() + PATIENCE_SECONDS
    while end not in shown:
        ready, _, _ = select.select([process.stdout], [], [], deadline - time.monotonic())
        data = os.read(process.stdout.fileno(), 4096) if ready else b""
        assert data, f"{end} was never asked: {shown}"
        shown += data.decode()
    return shown


def ended_at_question(directory: Path, text: str, *options: str, how: str, end: str) -> tuple[int, dict[str, str], str]:
    """The exit code, the statuses and the errors of a run whose first question is answered by a signal, or never."""
    ours, theirs = pty.openpty()
    with os.fdopen(ours, "wb") as terminal:
        process = start(directory, text, "--format", "jsonl", *options, stdin=theirs)
        os.close(theirs)
        shown = wait_until_asked(process, end)
        if how == "hangup":
            terminal.close()
        else:
            process.send_signal(signal.Signals[how])
        rest, errors = process.communicate(timeout=PATIENCE_SECONDS)
    lines = (shown + rest).splitlines()
    steps = json.loads(lines[-1])["result"]["steps"] if lines else []
    return process.returncode, {step["step_id"]: step["status"] for step in steps}, shown + rest + errors


def answered(directory: Path, text: str, *options: str, answers: str) -> tuple[int, dict[str, str], str]:
    """The exit code, the statuses and all that was shown of a run with these answers, a line each."""
    ours, theirs = pty.openpty()
    try:
        process = start(directory, text, "--format", "jsonl", *options, stdin=theirs)
        os.write(ours, answers.encode())
        shown, errors = process.communicate(timeout=PATIENCE_SECONDS)
    finally:
        process.kill()
        os.close(ours)
        os.close(theirs)
    events = [json.loads(line[line.index('{"version"') :]) for line in shown.splitlines() if '{"version"' in line]
    steps = events[-1]["result"]["steps"] if events else []
    return process.returncode, {step["step_id"]: step["status"] for step in steps}, shown + errors


@pytest.mark.slow
@pytest.mark.parametrize(
    ("answers", "exit_code", "statuses"),
    [
        ("y\nno\nyes\n", 0, ["succeeded", "skipped", "succeeded"]),
        ("c\n", 0, ["succeeded", "succeeded", "succeeded"]),
        ("\n\n\n", 0, ["skipped", "skipped", "skipped"]),
        ("what\ny\nc\n", 0, ["succeeded", "succeeded", "succeeded"]),
        ("y\nq\n", 130, ["succeeded", "not_run", "not_run"]),
    ],
    ids=["yes-no", "continue", "enter", "not-understood", "quit"],
)
def test_step_asks_before_each_command(tmp_path: Path, answers: str, exit_code: int, statuses: list[str]) -> None:
    text = (
        "steps: [{id: one, command: noop}, {id: group, steps: [{id: two, command: noop}]}, {id: three, command: noop}]"
    )
    code, found, shown = answered(tmp_path, text, "--step", answers=answers)
    assert code == exit_code, shown
    assert [found[step_id] for step_id in ("one", "two", "three")] == statuses
    assert "Run noop? [y]es, [N]o, [c]ontinue without asking, [q]uit:" in shown


@pytest.mark.slow
def test_what_runs_after_quitting_is_not_taken_for_interrupted(tmp_path: Path) -> None:
    text = "steps: [{id: one, command: noop}]\nfinally: [{id: end, command: noop}]"
    code, found, shown = answered(tmp_path, text, "--step", answers="q\n")
    assert (code, found) == (130, {"one": "not_run", "end": "succeeded"}), shown


@pytest.mark.slow
def test_step_shows_what_is_about_to_run(tmp_path: Path) -> None:
    text = "steps: [{id: one, command: say x, capture: text}, {name: Again, command: 'say ${{ steps.one.output }}'}]"
    _, _, shown = answered(tmp_path, text, "--step", answers="y\ny\n")
    assert "Run say x? [y]es" in shown
    assert "Run Again (say ${{ steps.one.output }})? [y]es" in shown


@pytest.mark.slow
def test_step_shows_no_arguments_under_no_log(tmp_path: Path) -> None:
    _, _, shown = answered(tmp_path, "steps: [{no_log: true, steps: [say hidden]}]", "--step", answers="y\n")
    assert "Run say ***? [y]es" in shown
    assert "hidden" not in shown


def test_a_confirmation_without_a_terminal_fails_with_a_type_and_a_message_of_its_own(tmp_path: Path) -> None:
    failure = run(tmp_path, "steps: [{command: noop, confirm: Sure?}]").result("noop")["failure"]
    assert failure["error_type"] == "ConfirmationError"
    assert failure["message"] == 'line 1: "Sure?" needs an answer: run in a terminal, or pass --yes'


def test_step_without_a_terminal_is_refused(tmp_path: Path) -> None:
    finished = run(tmp_path, "steps: [noop]", step=True)
    assert finished.exit_code == 2
    assert "needs a terminal" in finished.errors
    assert finished.events == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("option", "how", "exit_code", "status"),
    [
        ("--no-color", "SIGINT", 130, "not_run"),
        ("--no-color", "SIGTERM", 143, "not_run"),
        ("--no-color", "hangup", 1, "failed"),
        ("--step", "SIGINT", 130, "not_run"),
        ("--step", "hangup", 129, "not_run"),
    ],
)
def test_a_question_that_nobody_answers_loses_no_step(
    tmp_path: Path, option: str, how: str, exit_code: int, status: str
) -> None:
    confirm, end = ("", "[q]uit: ") if option == "--step" else (", confirm: Sure?", "[y/N] ")
    text = f"steps: [{{id: one, command: noop{confirm}}}]\nfinally: [{{id: end, command: noop}}]\n"
    code, found, shown = ended_at_question(tmp_path, text, option, how=how, end=end)
    assert (code, found) == (exit_code, {"one": status, "end": "succeeded"}), shown
    assert ("needs an answer" if status == "failed" else "the run was stopped") in shown


@pytest.mark.slow
def test_an_end_of_file_is_not_an_answer(tmp_path: Path) -> None:
    code, found, shown = answered(tmp_path, "steps: [{command: noop, confirm: Sure?}]", answers="\x04")
    assert (code, found) == (1, {"noop": "failed"}), shown


@pytest.mark.slow
@pytest.mark.parametrize(("answer", "status"), [("y", "succeeded"), ("n", "skipped"), ("", "skipped")])
def test_confirm_asks_and_anything_but_yes_skips(tmp_path: Path, answer: str, status: str) -> None:
    text = 'params: {n: 3}\nsteps: [{id: one, name: Purge, command: noop, confirm: "Delete ${{ params.n }} rows?"}]'
    code, found, shown = answered(tmp_path, text, answers=f"{answer}\n")
    assert (code, found) == (0, {"one": status}), shown
    assert "Purge: Delete 3 rows? [y/N]" in shown
