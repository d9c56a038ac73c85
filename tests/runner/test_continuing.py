"""Ends of runs in, how to continue them out."""

from __future__ import annotations

import pytest

from django_runbook.results import Role, RunResult, RunStatus, StepStatus
from django_runbook.runner import continuing
from django_runbook.runner.past import Past, PastStep
from tests.reporters.scenes import result

LINE = "python manage.py run_runbook daily.yml --resume 1f0d898b"


def advise(
    status: RunStatus,
    *steps: StepStatus,
    past: Past | None = None,
    role: Role = Role.STEP,
    line: str = LINE,
    is_dry_run: bool = False,
    is_whole: bool = True,
) -> RunResult:
    listed = tuple(result(f"s{number}", one, role=role) for number, one in enumerate(steps))
    ended = RunResult(status=status, exit_code=1, run_id="1f0d898b77aa", steps=listed)
    return continuing.advise(
        ended, past=past or Past(), is_dry_run=is_dry_run, resume_command=line, is_record_whole=is_whole
    )


@pytest.mark.parametrize("status", [RunStatus.SUCCEEDED, RunStatus.WARNING])
def test_a_run_that_reached_its_end_needs_no_advice(status: RunStatus) -> None:
    assert advise(status, StepStatus.SUCCEEDED).advice == ""


@pytest.mark.parametrize(("status", "word"), [(RunStatus.FAILED, "failed"), (RunStatus.INTERRUPTED, "was stopped")])
def test_a_recorded_run_that_had_begun_gets_the_line(status: RunStatus, word: str) -> None:
    ended = advise(status, StepStatus.SUCCEEDED, StepStatus.INTERRUPTED)
    assert ended.advice == f"run 1f0d898b {word}; resume with: {LINE}"
    assert ended.resume_command == LINE


@pytest.mark.parametrize(
    ("status", "options", "words"),
    [
        (RunStatus.REFUSED, {}, "was refused; nothing was run and nothing can be resumed"),
        (RunStatus.FAILED, {"is_dry_run": True}, "failed; a dry run is not recorded"),
        (RunStatus.FAILED, {"line": "", "is_whole": False}, "it is not recorded: to continue, run the file again"),
        (RunStatus.INTERRUPTED, {"role": Role.FINALLY}, "was stopped; no step had begun: run the file again"),
    ],
)
def test_a_run_that_cannot_be_resumed_says_why(status: RunStatus, options: dict[str, object], words: str) -> None:
    ended = advise(status, StepStatus.FAILED, **options)  # type: ignore[arg-type]  # options are of any type
    assert words in ended.advice
    assert ended.resume_command == ""
    assert "--resume" not in ended.advice


def test_a_record_that_broke_off_names_both_ways() -> None:
    advice = advise(RunStatus.FAILED, StepStatus.SUCCEEDED, is_whole=False).advice
    assert f"if its rows are still there, resume with: {LINE}" in advice
    assert "run the file again" in advice


def test_steps_that_were_not_run_are_no_beginning_but_those_of_an_earlier_attempt_are() -> None:
    assert advise(RunStatus.INTERRUPTED, StepStatus.NOT_RUN, StepStatus.SKIPPED).resume_command == ""
    past = Past(started=frozenset({"s0"}))
    assert advise(RunStatus.INTERRUPTED, StepStatus.NOT_RUN, past=past).resume_command == LINE


def test_commands_that_are_done_are_counted_without_groups_and_skipped_ones() -> None:
    done = {
        "a": PastStep(result=result("a")),
        "g": PastStep(result=result("g", is_group=True)),
        "s": PastStep(result=result("s", StepStatus.SKIPPED)),
    }
    assert continuing.done_count(Past(done=done)) == 1
