"""Ends runs whose events cannot be recorded, and commits atomic steps together with their record."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.contrib.sites.models import Site
from django.db import connections

from django_runbook import events
from django_runbook.exceptions import RunbookError
from django_runbook.results import StepStatus
from tests.runner.plans import run_plan, said


class LostError(RunbookError):
    pass


@pytest.mark.parametrize("event", [events.StepStarted, events.StepFinished])
def test_a_run_that_can_no_longer_be_recorded_ends_with_finally(tmp_path: Path, event: type[events.Event]) -> None:
    emitted: list[events.Event] = []
    lost: list[bool] = []

    def emit(one: events.Event) -> None:
        emitted.append(one)
        if isinstance(one, event) and not lost:
            lost.append(True)
            raise LostError("the journal is lost")

    result = run_plan(tmp_path, "steps: [say one, say two]\nfinally: [say end]", emit=emit)
    assert (result.status, result.exit_code, result.reason) == ("failed", 3, "the journal is lost")
    assert said(emitted) == (["end"] if event is events.StepStarted else ["one", "end"])
    assert result.steps[-2].status is StepStatus.NOT_RUN


def test_a_run_that_cannot_be_recorded_does_not_begin(tmp_path: Path) -> None:
    emitted: list[events.Event] = []

    def emit(one: events.Event) -> None:
        emitted.append(one)
        raise LostError("no journal")

    with pytest.raises(LostError):
        run_plan(tmp_path, "steps: [say one]\nfinally: [say end]", emit=emit)
    assert len(emitted) == 1


@pytest.mark.django_db(transaction=True)
def test_an_atomic_step_commits_together_with_its_record(tmp_path: Path) -> None:
    def write() -> None:
        assert connections["default"].in_atomic_block
        Site.objects.create(domain="record", name="record")

    text = "steps: [{command: make_site good, atomic: true}]"
    assert run_plan(tmp_path, text, on_success=write).status == "succeeded"
    assert set(Site.objects.values_list("domain", flat=True)) >= {"good", "record"}


@pytest.mark.django_db(transaction=True)
def test_an_atomic_step_that_fails_leaves_nothing(tmp_path: Path) -> None:
    text = "steps: [{command: make_site bad --fail, atomic: true}]"
    assert run_plan(tmp_path, text).status == "failed"
    assert not Site.objects.filter(domain="bad").exists()


@pytest.mark.django_db(transaction=True)
def test_an_atomic_step_whose_record_fails_is_rolled_back(tmp_path: Path) -> None:
    def write() -> None:
        Site.objects.create(domain="x" * 10, name="record")
        Site.objects.create(domain="x" * 10, name="record")

    text = "steps: [{command: make_site both, atomic: true}]"
    result = run_plan(tmp_path, text, on_success=write)
    failure = result.steps[0].failure
    assert failure is not None
    assert failure.error_type == "IntegrityError"
    assert not Site.objects.filter(domain="both").exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("how", ["swallow_error", "set_rollback"])
def test_an_atomic_step_that_cannot_be_committed_fails(tmp_path: Path, how: str) -> None:
    text = f"steps: [{{command: misbehave {how}, atomic: true}}, noop]"
    result = run_plan(tmp_path, text, on_success=lambda: pytest.fail("it is emitted as a success"))
    assert [step.status for step in result.steps] == ["failed", "not_run"]
    failure = result.steps[0].failure
    assert failure is not None
    assert "catch database errors around an atomic() block of its own" in failure.message
    assert "TransactionManagementError" in failure.error_names
