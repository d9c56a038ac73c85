"""A plan with what earlier attempts have done to what is left of it: what counts as done, and what later steps see."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from django.contrib.sites.models import Site
from django.db import connections

from django_runbook import checking, events
from django_runbook.document import inputs, source, validate
from django_runbook.exceptions import RunbookError
from django_runbook.executors.inline import InlineExecutor
from django_runbook.locks.file import FileLock
from django_runbook.planning.plan import plan
from django_runbook.process.connections import KnownConnections
from django_runbook.process.files import OpenFiles
from django_runbook.process.isolation import Isolation
from django_runbook.process.snapshot import Snapshot
from django_runbook.process.stopping import Stop
from django_runbook.results import AttemptResult, RunResult, StepResult, StepStatus
from django_runbook.runner import run as runner
from django_runbook.runner.context import RunContext, RunOptions
from django_runbook.runner.past import Past, PastStep
from django_runbook.runner.recorder import NoRecorder


class WritingRecorder(NoRecorder):
    """Records nothing but what an atomic step writes with its commit."""

    def __init__(self, write: Callable[[], None]) -> None:
        self._write = write

    def success_write(self, step_id: str) -> Callable[[], None]:
        return self._write


def resume(
    directory: Path,
    text: str,
    *,
    past: Past | None = None,
    emit: Callable[[events.Event], None] = lambda event: None,
    on_success: Callable[[], None] = lambda: None,
) -> RunResult:
    runbook, diagnostics = validate.load(source.Source(path="test.yml", text=text))
    assert runbook is not None
    assert diagnostics == []
    known = inputs.resolve(runbook, inputs.GivenInputs(now=datetime.datetime(2013, 1, 31, tzinfo=datetime.UTC)))
    binder = checking.new_binder()
    stop = Stop()
    with KnownConnections() as known_connections:
        around = RunContext(
            execute=InlineExecutor(stop=stop, mask=str, before=Snapshot.capture(known_connections), files=OpenFiles()),
            isolate=lambda call: AttemptResult(status=StepStatus.FAILED),
            isolation=Isolation(is_default=False),
            recorder=WritingRecorder(on_success),
            new_lock=lambda name: FileLock(name, directory=directory),
            emit=emit,
            binder=binder,
            stop=stop,
            mask=str,
        )
        return runner.run(plan(runbook, known, binder), RunOptions(past=past or Past()), around)


def past(
    *step_ids: str,
    started: tuple[str, ...] = (),
    outputs: Mapping[str, object] | None = None,
    names: Mapping[str, str] | None = None,
) -> Past:
    outputs, names = outputs or {}, names or {}
    done = {
        step_id: PastStep(
            result=StepResult(
                step_id=step_id, name=names.get(step_id, step_id), status=StepStatus.SUCCEEDED, attempt_count=1
            ),
            output=outputs.get(step_id),
            has_output=step_id in outputs,
        )
        for step_id in (*step_ids, *outputs)
    }
    return Past(done=done, started=frozenset((*done, *started)))


def said(told: list[events.Event]) -> list[str]:
    return [event.line for event in told if isinstance(event, events.StepOutputWritten)]


def test_what_is_done_is_not_run_again_and_its_output_is_there(tmp_path: Path) -> None:
    told: list[events.Event] = []
    text = "steps: [{id: one, command: fail, capture: text}, 'say ${{ steps.one.output }} ${{ steps.one.status }}']"
    result = resume(tmp_path, text, past=past(outputs={"one": "kept"}), emit=told.append)
    assert said(told) == ["kept succeeded"]
    assert [(step.step_id, step.is_past, step.reason) for step in result.steps] == [
        ("one", True, "finished before"),
        ("say", False, ""),
    ]


def test_a_condition_that_was_decided_is_not_asked_again(tmp_path: Path) -> None:
    text = "params: {n: 1}\nsteps: [{id: one, command: noop, when: params.n > 1}]"
    assert resume(tmp_path, text).steps[0].status is StepStatus.SKIPPED
    assert resume(tmp_path, text, past=past(started=("one",))).steps[0].status is StepStatus.SUCCEEDED


def test_items_that_are_done_stay_done_and_count_for_the_results(tmp_path: Path) -> None:
    told: list[events.Event] = []
    text = """
steps:
  - {id: one, command: "say ${{ item }}", for_each: [a, b, c], capture: text}
  - say ${{ steps.one.output | join("+") }}
"""
    before = past(outputs={"one[1]": "A", "one[2]": "B"}, names={"one[1]": "say (a)", "one[2]": "say (b)"})
    resume(tmp_path, text, past=before, emit=told.append)
    assert said(told) == ["c", "A+B+c"]


def test_a_loop_that_is_done_gives_all_its_outputs(tmp_path: Path) -> None:
    told: list[events.Event] = []
    text = """
steps:
  - {id: one, command: fail, for_each: [a, b], capture: text}
  - say ${{ steps.one.output | join("+") }}
"""
    resume(tmp_path, text, past=past("one", outputs={"one[1]": "A", "one[2]": "B"}), emit=told.append)
    assert said(told) == ["A+B"]


def test_a_group_that_is_done_lets_its_steps_be_named(tmp_path: Path) -> None:
    told: list[events.Event] = []
    text = """
steps:
  - id: group
    steps: [{id: one, command: fail, capture: text}]
    on_success: [say never]
    finally: [say never]
  - say ${{ steps.one.output }}
"""
    resume(tmp_path, text, past=past("group", outputs={"one": "kept"}), emit=told.append)
    assert said(told) == ["kept"]


def test_handlers_never_count_as_done(tmp_path: Path) -> None:
    told: list[events.Event] = []
    text = "steps: [noop]\non_success: [{id: good, command: say good}]\nfinally: [{id: end, command: say end}]"
    resume(tmp_path, text, past=past("noop", "good", "end"), emit=told.append)
    assert said(told) == ["good", "end"]


class LostError(RunbookError):
    pass


@pytest.mark.parametrize("event", [events.StepStarted, events.StepFinished])
def test_what_cannot_be_recorded_ends_the_run_with_finally(tmp_path: Path, event: type[events.Event]) -> None:
    told: list[events.Event] = []
    lost: list[bool] = []

    def emit(one: events.Event) -> None:
        told.append(one)
        if isinstance(one, event) and not lost:
            lost.append(True)
            raise LostError("the journal is lost")

    result = resume(tmp_path, "steps: [say one, say two]\nfinally: [say end]", emit=emit)
    assert (result.status, result.exit_code, result.reason) == ("failed", 3, "the journal is lost")
    assert said(told) == (["end"] if event is events.StepStarted else ["one", "end"])
    assert result.steps[-2].status is StepStatus.NOT_RUN


def test_a_run_that_cannot_be_recorded_does_not_begin(tmp_path: Path) -> None:
    told: list[events.Event] = []

    def emit(one: events.Event) -> None:
        told.append(one)
        raise LostError("no journal")

    with pytest.raises(LostError):
        resume(tmp_path, "steps: [say one]\nfinally: [say end]", emit=emit)
    assert len(told) == 1


@pytest.mark.django_db(transaction=True)
def test_an_atomic_step_commits_with_what_is_written_about_it(tmp_path: Path) -> None:
    def write() -> None:
        assert connections["default"].in_atomic_block
        Site.objects.create(domain="record", name="record")

    text = "steps: [{command: make_site good, atomic: true}]"
    assert resume(tmp_path, text, on_success=write).status == "succeeded"
    assert set(Site.objects.values_list("domain", flat=True)) >= {"good", "record"}


@pytest.mark.django_db(transaction=True)
def test_an_atomic_step_that_fails_leaves_nothing(tmp_path: Path) -> None:
    text = "steps: [{command: make_site bad --fail, atomic: true}]"
    assert resume(tmp_path, text).status == "failed"
    assert not Site.objects.filter(domain="bad").exists()


@pytest.mark.django_db(transaction=True)
def test_an_atomic_step_whose_record_fails_is_rolled_back(tmp_path: Path) -> None:
    def write() -> None:
        Site.objects.create(domain="x" * 10, name="record")
        Site.objects.create(domain="x" * 10, name="record")

    text = "steps: [{command: make_site both, atomic: true}]"
    result = resume(tmp_path, text, on_success=write)
    failure = result.steps[0].failure
    assert failure is not None
    assert failure.error_type == "IntegrityError"
    assert not Site.objects.filter(domain="both").exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("how", ["swallow_error", "set_rollback"])
def test_an_atomic_step_that_cannot_be_committed_fails(tmp_path: Path, how: str) -> None:
    text = f"steps: [{{command: misbehave {how}, atomic: true}}, noop]"
    result = resume(tmp_path, text, on_success=lambda: pytest.fail("it is told as a success"))
    assert [step.status for step in result.steps] == ["failed", "not_run"]
    failure = result.steps[0].failure
    assert failure is not None
    assert "catch database errors around an atomic() block of its own" in failure.message
    assert "TransactionManagementError" in failure.error_names
