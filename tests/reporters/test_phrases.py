"""Results in, phrases out."""

from __future__ import annotations

import pytest

from django_runbook.reporters import phrases
from django_runbook.results import Failure, Role, RunResult, RunStatus, StepStatus
from tests.reporters.scenes import result


def test_handlers_that_were_not_due_are_not_counted() -> None:
    steps = (result("one"), result("mail", StepStatus.SKIPPED, role=Role.ON_FAILURE, reason="not due"))
    run = RunResult(status=RunStatus.SUCCEEDED, exit_code=0, steps=steps)
    assert phrases.counts(run) == "1 succeeded"


def test_a_very_long_message_is_truncated_in_the_line_of_its_step() -> None:
    failed = Failure(error_type="ValueError", message="x" * 100_000, exit_code=1)
    assert phrases.failure(failed) == f"ValueError: {'x' * 999}…"


def test_a_failed_check_names_the_first_problem_once_and_no_frame() -> None:
    text = "SystemCheckError: System check identified some issues:\n\nERRORS:\n?: (app.E001) wrong\n\nSystem check identified 1 issue"
    frames = 'T\n  File "/x/site-packages/django/core/management/base.py", line 573, in check'
    names = ("SystemCheckError", "CommandError")
    failed = Failure(error_type="SystemCheckError", message=text, exit_code=1, error_names=names, traceback=frames)
    assert phrases.failure(failed) == "SystemCheckError: ?: (app.E001) wrong"
    assert phrases.place(failed) == ""


LIBRARY_FILES = [
    "/usr/lib/python3.13/pathlib.py",
    "<frozen os>",
    "<frozen importlib._bootstrap>",
    "/x/django_runbook/row_counting/counting.py",
]


@pytest.mark.parametrize("library", LIBRARY_FILES)
def test_the_place_of_an_error_is_the_last_frame_outside_libraries(library: str) -> None:
    frames = (
        'T\n  File "/x/django_runbook/executors/calling.py", line 1, in invoke\n'
        '  File "/srv/app/commands/load.py", line 2, in handle\n'
        f'  File "{library}", line 3, in open'
    )
    failed = Failure(error_type="OSError", message="no", exit_code=1, traceback=frames)
    assert phrases.place(failed) == 'File "/srv/app/commands/load.py", line 2, in handle'
    only = Failure(error_type="OSError", message="no", exit_code=1, traceback=frames.splitlines()[-1])
    assert phrases.place(only) == f'File "{library}", line 3, in open'
