"""Parts of a run to threads that drive them at the same time; the commands run in processes of their own."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue

from django.db import connections

from django_runbook.process.deadlines import Branch


class Errands:
    """What branches have done by the thread of the run, whose connections and standard streams are those of the run.

    That thread serves them while it waits for its branches. A call on that thread itself is done at once, and so is
    one on a thread that a command has made: while the command runs, nobody serves.
    """

    def __init__(self) -> None:
        self._owner = threading.get_ident()
        self._waiting: SimpleQueue[Future[None] | None] = SimpleQueue()
        self._calls: dict[Future[None], Callable[[], None]] = {}
        self._branches: set[int] = set()

    @property
    def is_owner(self) -> bool:
        return threading.get_ident() == self._owner

    def do(self, call: Callable[[], None]) -> None:
        """Have the call done; returns, or raises what it raised, when it is."""
        if threading.get_ident() not in self._branches:
            call()
            return
        errand: Future[None] = Future()
        self._calls[errand] = call
        self._waiting.put(errand)
        errand.result()

    @contextlib.contextmanager
    def branch(self) -> Iterator[None]:
        """Around what a branch does: its calls are errands."""
        self._branches.add(threading.get_ident())
        try:
            yield
        finally:
            self._branches.discard(threading.get_ident())

    def wake(self) -> None:
        """Have the owner look whether it has still to wait."""
        self._waiting.put(None)

    def serve(self) -> None:
        """Do the next call that is waited for, or return when woken."""
        errand = self._waiting.get()
        if errand is None:
            return
        try:
            self._calls.pop(errand)()
        except BaseException as error:  # noqa: BLE001 - it belongs to whoever asked
            errand.set_exception(error)
        else:
            errand.set_result(None)


def together(run: Callable[[int], None], *, count: int, at_once: int | None, halt: Branch, errands: Errands) -> None:
    """Call ``run`` with each number below ``count``, at most ``at_once`` at a time, and return when all have ended."""
    faults: list[BaseException] = []

    def one(index: int) -> None:
        try:
            with errands.branch():
                run(index)
        except BaseException as error:  # noqa: BLE001 - a fault of ours: it is raised when all have ended
            faults.append(error)
            halt.cancel("a fault of django-runbook")
        finally:
            # A last look at arguments may have asked the database, whose connections belong to their thread.
            connections.close_all()

    with ThreadPoolExecutor(max_workers=min(count, at_once or count), thread_name_prefix="runbook-branch") as pool:
        futures = [pool.submit(one, index) for index in range(count)]
        if errands.is_owner:
            for future in futures:
                future.add_done_callback(lambda future: errands.wake())
            while not all(future.done() for future in futures):
                errands.serve()
    if faults:
        raise faults[0]
