"""Backends of Django's Tasks framework: how a message comes, and comes again."""

from __future__ import annotations

import signal

import pytest

from tests.patience import PATIENCE_SECONDS
from tests.queues.project import Project


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["leases"])
def test_a_call_longer_than_the_lease_of_its_message_runs_once(project: Project) -> None:
    project.write(
        "steps:\n  - {command: add_effect long --seconds 5, queue: QUEUE}\n  - {command: add_effect next, queue: QUEUE}"
    )
    with project.worker("a"), project.worker("b"):
        code, output = project.run("--verbosity=2")
        assert code == 0, output
        first = project.query("SELECT id FROM django_runbook_call ORDER BY queued_at LIMIT 1")[0][0]
        delivered = project.output("a") + project.output("b")
    assert delivered.count(f"delivered {first}") >= 2
    assert project.effects() == ["long", "next"]
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
