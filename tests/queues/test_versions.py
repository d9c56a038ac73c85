"""A worker with other code than the run leaves its calls to other workers, if the settings ask for that."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from django_runbook.models.calls import Call, CallStatus
from django_runbook.queues import versions
from tests.journal_data import new_run
from tests.patience import PATIENCE_SECONDS, wait_until
from tests.queues.calls_data import add_call
from tests.queues.project import Project


@pytest.mark.parametrize(
    ("own", "refuses", "expected"), [("2", True, True), ("1", True, False), ("2", False, False), ("", True, False)]
)
def test_other_code_is_refused_if_the_setting_says_so(
    settings: Any, monkeypatch: pytest.MonkeyPatch, own: str, *, refuses: bool, expected: bool
) -> None:
    settings.RUNBOOK = {"QUEUE": {"VERSION": own, "REFUSES_OTHER_VERSION": refuses}}
    monkeypatch.setattr(versions, "_commit", lambda: "")
    assert versions.is_refused(Call(version="1")) is expected


def test_the_same_or_an_unknown_version_has_no_warning(settings: Any) -> None:
    settings.RUNBOOK = {"QUEUE": {"VERSION": "2"}}
    assert versions.warning_of(Call(version="2")) == versions.warning_of(Call(version="")) == ""
    assert versions.warning_of(Call(version="1")) == 'the worker has the code "2", and the run has "1"'


@pytest.mark.django_db
def test_only_a_queued_call_is_refused() -> None:
    call = add_call(new_run(), status=CallStatus.QUEUED.value)
    assert call.refuse("2", using="default")
    row = Call.objects.get()
    assert (row.status, row.refusal_count, row.refused_version, row.release_count) == ("queued", 1, "2", 0)
    row.status = CallStatus.RUNNING.value
    row.save()
    assert not call.refuse("3", using="default")
    assert Call.objects.get().refused_version == "2"


@contextlib.contextmanager
def worker_with(project: Project, version: str, **variables: str) -> Iterator[None]:
    """Run a worker whose code has this version."""
    more = {**project.more, "QUEUES_VERSION": version, **variables}
    with replace(project, more=more).worker(version):
        yield


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["redis", "tasks"])
def test_a_call_waits_for_a_worker_with_the_code_of_its_run(project: Project) -> None:
    project.more = {"QUEUES_VERSION": "old"}
    project.write("steps: [{command: add_effect once, queue: QUEUE}]")
    with worker_with(project, "new"), project.runner("--verbosity=2") as runner:
        # More often than a call may die.
        project.wait_for("SELECT 1 FROM django_runbook_call WHERE refusal_count > 3")
        with worker_with(project, "old"):
            assert runner.wait(timeout=PATIENCE_SECONDS) == 0
    output = project.output("runner")
    assert output.count('a worker has the code "new", and the run has "old": the worker has refused a call') == 1
    assert project.effects() == ["once"]
    rows = project.query("SELECT status, number, release_count, refused_version FROM django_runbook_call")
    assert rows == [("done", 1, 0, "new")]


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["redis"])
def test_a_call_that_only_other_code_takes_fails_after_the_wait(project: Project) -> None:
    project.more = {"QUEUES_VERSION": "old", "QUEUES_VERSION_WAIT": "2"}
    project.write(
        "steps: [{command: add_effect never, no_log: true, queue: QUEUE}, {command: add_effect also_never, queue: QUEUE}]"
    )
    with worker_with(project, "new"):
        code, output = project.run("--keep-going")
        assert code == 1
        text = (
            "no worker with the code of the run took the call within 2s: "
            'a worker has the code "new", and the run has "old"'
        )
        assert text in output.replace("\n", " ")
        assert project.effects() == []
        assert project.query("SELECT status, tokens FROM django_runbook_call WHERE is_hidden") == [("done", "[]")]
        # A new version of the run as well: the failed steps are called again.
        project.more = {"QUEUES_VERSION": "new"}
        code, output = project.run("--resume")
        assert code == 0, output
    assert project.effects() == ["never", "also_never"]


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["tasks"])
def test_a_queued_call_that_a_resumed_run_takes_over_has_the_new_code(project: Project) -> None:
    project.more = {"QUEUES_VERSION": "old"}
    project.write("steps: [{command: add_effect once, queue: QUEUE}]")
    with project.runner() as runner:
        # The message is sent after the call is stored.
        project.wait_for("SELECT 1 FROM django_tasks_database_dbtaskresult")
        runner.kill()
    with worker_with(project, "new"):
        project.wait_for("SELECT 1 FROM django_runbook_call WHERE refusal_count > 0")
        project.more = {"QUEUES_VERSION": "new"}
        wait_until(lambda: project.run("--resume")[0] == 0, what="the resumed run has succeeded")
    assert project.effects() == ["once"]
    assert project.query("SELECT version, number, status FROM django_runbook_call") == [("new", 1, "done")]
