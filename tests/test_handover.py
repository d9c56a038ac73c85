from __future__ import annotations

import contextlib
import queue
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType

import pytest

from django_runbook import handover as handover_module
from django_runbook.handover import Handover
from tests.patience import PATIENCE_SECONDS, eventually


@pytest.fixture
def slow_handler() -> Iterator[list[int]]:
    """Interrupt this thread after 5 ms by a signal whose handler takes 30 ms; give the list of its calls."""
    calls: list[int] = []

    def handle(number: int, _frame: object) -> None:
        calls.append(number)
        time.sleep(0.03)

    before = signal.signal(signal.SIGALRM, handle)
    signal.setitimer(signal.ITIMER_REAL, 0.005)
    yield calls
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def test_a_timeout_ends_although_a_signal_handler_returns_after_it(slow_handler: list[int]) -> None:
    handover = Handover[int]()
    # An item that comes much later ends the test if the timeout does not.
    late = threading.Timer(PATIENCE_SECONDS / 2, handover.put, [1])
    late.start()
    try:
        with pytest.raises(queue.Empty):
            handover.get(0.02)
    finally:
        late.cancel()
    assert slow_handler == [signal.SIGALRM]


def test_items_come_in_their_order_from_several_threads() -> None:
    handover = Handover[tuple[int, int]]()

    def put(name: int) -> None:
        for number in range(2_000):
            handover.put((name, number))

    threads = [threading.Thread(target=put, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    found = [handover.get(PATIENCE_SECONDS) for _ in range(8_000)]
    assert handover.count() == 0
    for name in range(4):
        assert [number for one, number in found if one == name] == list(range(2_000))


def test_a_wait_without_a_timeout_ends_with_the_item() -> None:
    handover = Handover[str]()
    found: list[str] = []
    reader = threading.Thread(target=lambda: found.append(handover.get()))
    reader.start()
    handover.put("item")
    reader.join(PATIENCE_SECONDS)
    assert found == ["item"]


def test_an_item_is_found_although_its_put_was_interrupted_before_it_woke_the_reader(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(handover_module, "_CHECK_SECONDS", 0.01)
    handover = Handover[str]()
    found: list[str] = []
    reader = threading.Thread(target=lambda: found.append(handover.get()), daemon=True)
    reader.start()
    # The reader has looked once, and waits.
    assert eventually(handover._may_check.locked)
    handover._items.put("item")
    reader.join(PATIENCE_SECONDS)
    assert found == ["item"]


def test_an_empty_handover_raises_immediately_or_after_its_timeout() -> None:
    handover = Handover[int]()
    for seconds in (0.0, -1.0, 0.001):
        with pytest.raises(queue.Empty):
            handover.get(seconds)
    handover.put(1)
    assert handover.get(0) == 1
    with pytest.raises(queue.Empty):
        handover.get(0)


def test_a_signal_handler_that_raises_while_items_are_put_blocks_nobody() -> None:
    handover = Handover[int]()
    counts = {"put": 0, "raised": 0}

    class _Ended(Exception):
        pass

    def handle(_number: int, frame: FrameType | None) -> None:
        if frame is not None and frame.f_code.co_filename == handover_module.__file__:
            counts["raised"] += 1
            raise _Ended

    before = signal.signal(signal.SIGALRM, handle)
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.0003)
    try:
        while counts["raised"] < 50:
            with contextlib.suppress(_Ended):
                handover.put(counts["put"])
                counts["put"] += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    found: list[int] = []
    reader = threading.Thread(target=lambda: found.extend(handover.get() for _ in range(handover.count())))
    reader.start()
    assert eventually(lambda: not reader.is_alive())
    # One that was interrupted after it had been added is there twice.
    assert sorted(set(found)) == list(range(counts["put"] + (counts["put"] in found)))
