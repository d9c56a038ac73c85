"""Runbooks and results in, the one line that a caller of ``call_command`` reads out."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from django_runbook.results import RunResult, RunStatus, StepResult, StepStatus
from django_runbook.runner import outcomes

IGNORED = "{id: soft, continue_on_error: true, steps: [{id: inner, command: fail --kind integrity}]}"
OTHER_IGNORED = IGNORED.replace("soft", "softer").replace("inner", "innermost")
COUNT = "{id: count, command: say 5, capture: json}"
WHY = "it went wrong"
STATES = {
    "a step": ("steps: [{id: it, command: fail}]", f'the run failed: step "it": {WHY}'),
    "a step inside a group": (
        "steps: [{id: all, steps: [{id: it, command: fail}]}]",
        f'the run failed: step "all": step "it": {WHY}',
    ),
    "a step inside a loop": (
        "steps: [{id: it, command: fail, for_each: [1]}]",
        f'the run failed: step "it": step "it[1]": {WHY}',
    ),
    "a step after an ignored group": (
        f"steps: [{IGNORED}, {{id: it, command: fail}}]",
        f'the run failed: step "it": {WHY}',
    ),
    "a group that failed itself": (
        f"steps: [{IGNORED}, {COUNT}, {{id: all, for_each: '${{{{ steps.count.output }}}}', steps: [noop]}}]",
        'the run failed: step "all": line 1: "for_each" needs a list or a mapping of lists, not a number',
    ),
    "the first of two failures": (
        "fail_fast: false\nsteps: [{id: first, command: fail}, {id: second, command: fail --kind integrity}]",
        f'the run failed: step "first": {WHY}',
    ),
    "a failure before a failed handler": (
        "steps: [{id: it, command: fail}]\non_failure: [{id: handler, command: fail --kind integrity}]",
        f'the run failed: step "it": {WHY}',
    ),
    "an ignored group under --strict": (
        f"steps: [{IGNORED}]",
        'the run ended with a warning: step "soft": step "inner": a constraint',
    ),
    "a failed handler after an ignored group under --strict": (
        f"steps: [{IGNORED}]\nfinally: [{{id: handler, steps: [{OTHER_IGNORED}, {{id: it, command: fail}}]}}]",
        f'the run ended with a warning: step "handler": step "it": {WHY}',
    ),
}


@pytest.mark.parametrize(("text", "line"), STATES.values(), ids=list(STATES))
def test_a_caller_reads_what_made_the_run_fail(tmp_path: Path, text: str, line: str) -> None:
    path = tmp_path / "test.yml"
    path.write_text(text)
    with pytest.raises(CommandError) as caught:
        call_command("run_runbook", str(path), strict=True, stdout=io.StringIO(), stderr=io.StringIO())
    assert str(caught.value) == line


INTERRUPTED = (
    StepResult(step_id="soft", name="soft", status=StepStatus.FAILED, ignored=True),
    StepResult(step_id="it", name="it", status=StepStatus.INTERRUPTED),
    StepResult(step_id="all", name="all", status=StepStatus.INTERRUPTED, is_group=True),
)
RESULTS = {
    "interrupted": (RunResult(status=RunStatus.INTERRUPTED, exit_code=143), "the run was interrupted"),
    "interrupted in a step": (
        RunResult(status=RunStatus.INTERRUPTED, exit_code=143, steps=INTERRUPTED),
        'the run was interrupted at step "it"',
    ),
    "refused": (RunResult(status=RunStatus.REFUSED, exit_code=75, reason="the lock is held"), "the lock is held"),
    "a report that could not be written": (
        RunResult(status=RunStatus.WARNING, exit_code=1, warnings=("report.xml could not be written",)),
        "the run ended with a warning: report.xml could not be written",
    ),
}


@pytest.mark.parametrize(("result", "line"), RESULTS.values(), ids=list(RESULTS))
def test_a_run_without_a_failure_says_how_it_ended(result: RunResult, line: str) -> None:
    assert outcomes.in_one_line(result) == line
