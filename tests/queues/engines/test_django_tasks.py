"""Backends of Django's Tasks framework: how a message comes, and comes again."""

from __future__ import annotations

import signal

import pytest

from tests.patience import PATIENCE_SECONDS, wait_until
from tests.queues.project import Project


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["leases"])
def test_a_call_longer_than_the_lease_of_its_message_runs_once(project: Project) -> None:
    project.write(
        "steps:\n  - {command: add_effect long --seconds 60 --until go, queue: QUEUE}\n  - {command: add_effect next, queue: QUEUE}"
    )
    with project.worker("a"), project.worker("b"), project.runner("--verbosity=2") as runner:
        (first,) = project.wait_for("SELECT id FROM django_runbook_call")
        wait_until(
            lambda: (project.output("a") + project.output("b")).count(f"delivered {first}") >= 2,
            what="the message has come again",
        )
        project.wait_for("SELECT 1 FROM queueapp_effect")
        project.add_effect("go")
        assert runner.wait(timeout=PATIENCE_SECONDS) == 0, project.output("runner")
    assert project.effects() == ["long", "go", "next"]
    assert [call[2:] for call in project.calls()] == [(1, "done"), (1, "done")]


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["tasks"])
def test_a_message_contains_an_id_and_no_argument(project: Project) -> None:
    project.secrets = {"TOKEN": "abra-cadabra"}
    project.write("secrets: [TOKEN]\nsteps: [{command: add_effect, args: ['${{ secrets.TOKEN }}'], queue: QUEUE}]")
    with project.runner() as runner:
        row = project.wait_for("SELECT args_kwargs, t.* FROM django_tasks_database_dbtaskresult t")
        (call_id,) = project.query("SELECT id FROM django_runbook_call")[0]
        runner.send_signal(signal.SIGTERM)
        assert runner.wait(timeout=PATIENCE_SECONDS) == 143
    assert row[0] == {"args": [call_id], "kwargs": {}}
    assert "abra-cadabra" not in str(row)
    assert "add_effect" not in str(row)
