"""Claims: what a worker does whose claim comes late, or whose answer is lost, and how it returns a call."""

from __future__ import annotations

import logging
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import DataError

from django_runbook import conf
from django_runbook.exceptions import JournalLost
from django_runbook.journal.connection import JournalConnection
from django_runbook.locks import factory
from django_runbook.locks.base import Probe
from django_runbook.models.calls import Call, CallOutput, CallStatus
from django_runbook.queues import claimed_call, worker
from django_runbook.queues.call_content import CallContent
from django_runbook.queues.call_liveness import probe_worker
from django_runbook.queues.call_watcher import PendingOutput, write_with_output
from django_runbook.queues.claimed_call import ClaimedCall
from django_runbook.results import AttemptResult, StepStatus
from tests.journal_data import new_run
from tests.queues.calls_data import add_call

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def call() -> Call:
    return add_call(new_run())


def test_a_worker_does_not_claim_a_call_that_another_one_had_since_it_was_read(call: Call) -> None:
    late = Call.objects.get()
    assert call.claim_for("first", using="default")
    output = PendingOutput(lines=[["stdout", "one"]])
    release = partial(call.release, CallContent.of(call).columns)
    assert write_with_output(call, output, release, using="default")
    # Its count of parts is that of before: it would write a part that is there.
    assert not late.claim_for("late", using="default")
    row = Call.objects.get()
    assert (row.status, row.claim, row.output_count) == ("queued", "first", 1)
    assert row.claim_for("second", using="default")
    assert write_with_output(row, PendingOutput(lines=[["stdout", "two"]]), row.note, using="default")
    parts = CallOutput.objects.order_by("number").values_list("number", "lines")
    assert list(parts) == [(1, [["stdout", "one"]]), (2, [["stdout", "two"]])]


def test_a_worker_that_does_not_know_its_claim_gives_its_lock_up(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    claim_for = Call.claim_for

    def claim_without_answer(self: Call, claim: str, **options: Any) -> bool:
        assert claim_for(self, claim, **options)
        raise JournalLost("the database did not answer")

    monkeypatch.setattr(Call, "claim_for", claim_without_answer)
    with pytest.raises(JournalLost):
        worker._Worker().run(call.pk, ends_at_signal=False)
    row = Call.objects.get()
    assert row.status == CallStatus.RUNNING
    # Otherwise, its run would wait for it.
    assert probe_worker(row.worker, factory.new_factory(conf.read(), what="a test")) is Probe.FREE


def test_an_output_that_the_database_refuses_fails_the_call(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    finish = Call.finish

    def finish_short(self: Call, result: dict[str, Any], **options: Any) -> bool:
        if result["stdout"] != [""]:
            raise DataError("the value is too long")
        return finish(self, result, **options)

    monkeypatch.setattr(Call, "finish", finish_short)
    claimed = claimed_of(call)
    result = AttemptResult(status=StepStatus.SUCCEEDED, stdout="much")
    claimed._finish(result, secrets={}, mask=str, output=PendingOutput(lines=[["stdout", "one"]]))
    row = Call.objects.get()
    assert (row.status, row.result["status"], row.output_count) == ("done", "failed", 1)
    assert row.result["failure"]["message"] == "capture: the database does not accept the output: the value is too long"


def test_a_broker_that_is_away_does_not_keep_a_worker_from_returning_a_call(
    call: Call, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*args: object, **options: object) -> None:
        raise ConnectionError("no broker")

    monkeypatch.setattr(claimed_call, "choose_engine", lambda configuration: SimpleNamespace(send=fail))
    claimed = claimed_of(call)
    with caplog.at_level(logging.WARNING):
        claimed._release(PendingOutput())
    assert Call.objects.get().status == CallStatus.QUEUED
    assert "could not be sent: ConnectionError: no broker" in caplog.text


def claimed_of(call: Call) -> ClaimedCall:
    nothing: Any = SimpleNamespace()
    content = CallContent.of(call)
    assert call.claim_for("c", using="default")
    return ClaimedCall(
        call=call,
        content=content,
        connection=JournalConnection("default"),
        spawner=nothing,
        checks=nothing,
        lock=nothing,
        ends_at_signal=False,
    )
