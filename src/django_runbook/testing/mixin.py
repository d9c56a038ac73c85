"""Adds runbooks to the test cases of ``unittest`` and Django."""

from __future__ import annotations

from typing import Any

from django_runbook.testing.faked_run import FakedRun, run


class RunbookTestMixin:
    """Runs ``runbook`` with fakes, and asserts what it did: ``class NightlyTest(RunbookTestMixin, SimpleTestCase)``.

    Each assertion raises AssertionError.
    """

    runbook = ""

    def run_runbook(self, path: str = "", **given: Any) -> FakedRun:
        """Run a runbook, by default ``runbook``, with the arguments of `django_runbook.testing.run`."""
        return run(path or self.runbook, **given)

    def assertRunStatus(self, run: FakedRun, status: str) -> None:  # noqa: N802 - as unittest names its methods
        """Assert the status of the run; otherwise show the status of each step."""
        if run.status != status:
            steps = "".join(f"\n  {step_id}: {one}" for step_id, one in run.statuses.items())
            raise AssertionError(f'the run is "{run.status}", not "{status}"{steps}')

    def assertStepStatus(self, run: FakedRun, step_id: str, status: str) -> None:  # noqa: N802 - as above
        """Assert the status of a step."""
        found = run.statuses.get(step_id, "unknown")
        if found != status:
            raise AssertionError(f'step "{step_id}" is "{found}", not "{status}"')

    def assertCalled(self, run: FakedRun, name: str, *argv: str) -> None:  # noqa: N802 - as above
        """Assert that a command, or the command of a step, was called, and with these tokens if there are any."""
        calls = [call.argv for call in run.calls_of(name)]
        if not calls:
            raise AssertionError(f'"{name}" was not called')
        if argv and argv not in calls:
            listed = "".join(f"\n  {' '.join(call)}" for call in calls)
            raise AssertionError(f'"{name}" was not called with {" ".join(argv)}, but with{listed}')

    def assertNotCalled(self, run: FakedRun, name: str) -> None:  # noqa: N802 - as above
        """Assert that a command, or the command of a step, was not called."""
        if calls := run.calls_of(name):
            raise AssertionError(f'"{name}" was called with {" ".join(calls[0].argv)}')
