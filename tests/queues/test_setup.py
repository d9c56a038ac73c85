"""Steps with a queue where no worker would take them: they run on this host, or nothing runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from django_runbook.models.calls import Call
from tests.queues.engines.test_choice import DUMMY, IMMEDIATE
from tests.queues.project import Project
from tests.runner.support import run

RUNBOOK = """
defaults: {queue: QUEUE}
steps:
  - {id: one, command: add_effect here, capture: text}
  - {id: two, command: add_effect, args: ["${{ steps.one.output }}"], timeout: 30s}
"""


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["redis", "tasks"])
def test_an_engine_without_workers_runs_steps_on_this_host(project: Project) -> None:
    if project.engine == "tasks":
        project.more = {"QUEUES_TASKS_BACKEND": IMMEDIATE}
    else:
        project.more = {"QUEUES_EAGER": "1"}
    project.write(RUNBOOK)
    code, output = project.run("--verbosity=2")
    assert code == 0, output
    assert project.effects() == ["here", "added here"]
    assert project.calls() == []


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["tasks"])
def test_a_backend_that_runs_nothing_is_refused_before_the_run(project: Project) -> None:
    project.more = {"QUEUES_TASKS_BACKEND": DUMMY}
    project.write(RUNBOOK)
    code, output = project.run()
    assert code == 2
    assert "error[RB431]" in output
    assert "is the DummyBackend, which never runs a task" in output
    assert project.effects() == []


@pytest.mark.django_db
def test_in_the_transaction_of_a_test_steps_run_in_it(
    tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = tmp_path / "spool"
    spool.mkdir()
    monkeypatch.setenv("QUEUES_SPOOL", str(spool))
    engine = "tests.queues.spool_engine.SpoolEngine"
    settings.RUNBOOK = {**settings.RUNBOOK, "JOURNAL": True, "QUEUE": {"BACKEND": engine, "VERSION": "1"}}
    result = run(tmp_path, "steps:\n  - {id: one, command: say here, queue: heavy}")
    assert (result.exit_code, result.statuses["one"]) == (0, "succeeded")
    assert result.output("one") == ["here"]
    assert not list(spool.iterdir())
    assert not Call.objects.exists()
