from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from django_runbook.models.calls import Call
from django_runbook.queues import refused_calls
from django_runbook.queues.refused_calls import RefusedCalls
from django_runbook.results import StepStatus


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Any:
    played: Any = SimpleNamespace(now=1000.0)
    played.monotonic = lambda: played.now
    monkeypatch.setattr(refused_calls, "time", played)
    return played


@pytest.fixture
def texts() -> list[str]:
    return []


@pytest.fixture
def refused(clock: Any, texts: list[str]) -> RefusedCalls:
    return RefusedCalls(wait_seconds=600, on_first=texts.append)


def row(refusal_count: int, call_id: str = "c") -> Call:
    return Call(id=call_id, refusal_count=refusal_count, refused_version="2", version="1")


def test_the_pauses_grow_with_each_refusal(refused: RefusedCalls, texts: list[str]) -> None:
    assert refused.note(row(0)) is None
    assert [refused.note(row(count)) for count in (1, 2, 3, 4, 5, 9)] == [1, 2, 4, 8, 15, 15]
    assert refused.note(row(9)) is None
    refused.note(row(1, "d"))
    assert len(texts) == 1
    assert texts[0].startswith('a worker has the code "2", and the run has "1"')


def test_a_call_fails_once_it_has_waited_too_long(refused: RefusedCalls, clock: Any) -> None:
    clock.now += 10_000
    assert refused.failure_of(row(0)) is None
    refused.note(row(1))
    clock.now += 599
    refused.note(row(2))
    assert refused.failure_of(row(2)) is None
    clock.now += 1
    result = refused.failure_of(row(2))
    assert result is not None
    assert (result.status, result.failure and result.failure.error_type) == (StepStatus.FAILED, "OtherVersion")
    assert refused.failure_of(row(0, "d")) is None


def test_the_wait_starts_over_after_a_worker_had_the_call(refused: RefusedCalls, clock: Any) -> None:
    refused.note(row(3))
    clock.now += 599
    # It was refused once more before a worker claimed it.
    refused.note_claim(row(4))
    clock.now += 3600
    assert refused.note(row(4)) is None
    assert refused.failure_of(row(4)) is None
    assert refused.note(row(5)) == 1
    clock.now += 599
    assert refused.failure_of(row(5)) is None
