"""A message and an exit code in, a failed step out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from django_runbook import api
from django_runbook.api import RunRequest


def failure_of(*args: str, **options: Any) -> CommandError:
    with pytest.raises(CommandError) as caught:
        call_command("fail_run", *args, **options)
    return caught.value


@pytest.mark.parametrize(("args", "code"), [((), 1), (("--exit-code", "75"), 75), (("--exit-code=123",), 123)])
def test_the_error_has_the_message_and_the_exit_code(args: tuple[str, ...], code: int) -> None:
    error = failure_of("the feed is older than a day", *args)
    assert (str(error), error.returncode) == ("the feed is older than a day", code)


@pytest.mark.parametrize("code", ["0", "124", "127", "256", "-1", "+3", "1.5", "x", "", "²", "9" * 5000])
def test_an_exit_code_that_means_something_else_is_refused(code: str) -> None:
    assert "is not an exit code from 1 to 123" in str(failure_of("late", f"--exit-code={code}"))


def test_an_exit_code_from_python_is_checked_too() -> None:
    assert failure_of("late", exit_code=4).returncode == 4
    assert "is not an exit code" in str(failure_of("late", exit_code=124))


def test_an_empty_message_is_refused() -> None:
    assert "the message is empty" in str(failure_of(" "))


@pytest.mark.parametrize(("allowed", "status"), [("[4]", "warning"), ("[5]", "failed")])
def test_a_step_may_allow_the_exit_code(tmp_path: Path, allowed: str, status: str) -> None:
    path = tmp_path / "late.yml"
    path.write_text(f"steps: [{{command: fail_run late --exit-code 4, continue_on_error: {allowed}}}]")
    result = api.run(RunRequest(file=str(path), journal=False, inline=True))
    failure = result.steps[0].failure
    assert failure is not None
    assert (result.status, failure.message, failure.exit_code) == (status, "late", 4)
