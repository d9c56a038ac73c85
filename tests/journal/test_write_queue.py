"""Tests the thread that executes the writes of the journal."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

import pytest

from django_runbook.exceptions import JournalLost
from django_runbook.journal.write_queue import ImmediateWrites, ThreadedWrites, Write
from tests.patience import PATIENCE_SECONDS


def new_writes(groups: list[int] | None = None) -> ThreadedWrites:
    """Return a thread that keeps the sizes of its groups of writes."""

    def execute_together(writes: Sequence[Write]) -> None:
        if groups is not None:
            groups.append(len(writes))
        for write in writes:
            write()

    return ThreadedWrites(execute_together=execute_together, patience_seconds=60)


@pytest.fixture
def _endless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let rows wait for a neighbour until something else ends the wait."""
    monkeypatch.setattr("django_runbook.journal.write_queue._NEIGHBOUR_SECONDS", 3600.0)


@pytest.mark.usefixtures("_endless")
@pytest.mark.parametrize("end", ["wait", "add", "add_later", "close"])
def test_rows_share_a_transaction_until_something_else_happens(end: str) -> None:
    groups: list[int] = []
    done: list[str] = []
    writes = new_writes(groups)
    for name in ("end of one", "start of two"):
        writes.add_row(lambda name=name: done.append(name))  # type: ignore[misc]  # mypy infers no type for a lambda with a default
    is_over = threading.Event()
    match end:
        case "wait" | "close":
            getattr(writes, end)()
        case "add":
            writes.add(is_over.set)
            assert is_over.wait(PATIENCE_SECONDS)
        case "add_later":
            writes.add_later(is_over.set, seconds=0)
            assert is_over.wait(PATIENCE_SECONDS)
    assert done == ["end of one", "start of two"]
    assert groups == [2]
    writes.close()


def test_a_row_without_a_neighbour_is_written_soon() -> None:
    writes, is_done = new_writes(), threading.Event()
    writes.add_row(is_done.set)
    assert is_done.wait(PATIENCE_SECONDS)
    writes.close()


@pytest.mark.usefixtures("_endless")
def test_the_order_of_writes_is_kept() -> None:
    groups: list[int] = []
    done: list[int] = []
    writes = new_writes(groups)
    for number in range(6):
        add = writes.add if number == 3 else writes.add_row
        add(lambda number=number: done.append(number))  # type: ignore[misc]  # mypy infers no type for a lambda with a default
    writes.wait()
    assert done == list(range(6))
    assert groups == [3, 2]
    writes.close()


@pytest.mark.usefixtures("_endless")
def test_a_transaction_has_a_largest_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("django_runbook.journal.write_queue._MAX_NEIGHBOURS", 4)
    groups: list[int] = []
    writes = new_writes(groups)
    for _ in range(10):
        writes.add_row(lambda: None)
    writes.wait()
    assert groups == [4, 4, 2]
    writes.close()


@pytest.mark.usefixtures("_endless")
def test_nothing_is_written_after_an_error() -> None:
    def refuse() -> None:
        raise JournalLost("gone")

    groups: list[int] = []
    writes = new_writes(groups)
    writes.add_row(refuse)
    with pytest.raises(JournalLost):
        writes.wait()
    writes.add_row(lambda: None)
    writes.close()
    assert groups == [1]


def test_a_delayed_write_is_executed_without_another_write() -> None:
    writes, is_done = new_writes(), threading.Event()
    writes.add(lambda: None)
    writes.wait()
    assert writes.add_later(is_done.set, seconds=0.01)
    assert is_done.wait(PATIENCE_SECONDS)
    writes.close()


def test_a_delayed_write_delays_neither_other_writes_nor_the_end() -> None:
    writes = new_writes()
    done: list[str] = []
    assert writes.add_later(lambda: done.append("late"), seconds=3600)
    writes.add(lambda: done.append("now"))
    writes.wait()
    writes.close()
    assert done == ["now"]


def test_without_a_thread_a_write_that_is_not_due_is_discarded() -> None:
    writes = ImmediateWrites()
    done: list[str] = []
    assert not writes.add_later(lambda: done.append("late"), seconds=1)
    assert not writes.add_later(lambda: done.append("due"), seconds=0)
    assert done == ["due"]


def test_delayed_writes_are_executed_in_the_order_of_their_times(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    is_over = threading.Event()
    writes = new_writes()
    now = time.monotonic()
    with monkeypatch.context() as patch:
        # However long it takes to add them, their times are in the order of these seconds.
        patch.setattr(time, "monotonic", lambda: now)
        writes.add_later(lambda: done.append("never"), seconds=3600)
        writes.add_later(is_over.set, seconds=0.04)
        writes.add_later(lambda: done.append("second"), seconds=0.02)
        writes.add_later(lambda: done.append("first"), seconds=0.01)
    assert is_over.wait(PATIENCE_SECONDS)
    assert done == ["first", "second"]
    writes.close()
