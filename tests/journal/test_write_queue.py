"""Tests the thread that executes the writes of the journal."""

from __future__ import annotations

import threading

from django_runbook.journal.write_queue import ImmediateWrites, ThreadedWrites
from tests.patience import PATIENCE_SECONDS


def test_a_delayed_write_is_executed_without_another_write() -> None:
    writes, is_done = ThreadedWrites(patience_seconds=60), threading.Event()
    writes.add(lambda: None)
    writes.wait()
    assert writes.add_later(is_done.set, seconds=0.01)
    assert is_done.wait(PATIENCE_SECONDS)
    writes.close()


def test_a_delayed_write_delays_neither_other_writes_nor_the_end() -> None:
    writes = ThreadedWrites(patience_seconds=60)
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
