"""Parts of a run to threads that drive them at the same time; the commands run in processes of their own."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait

from django.db import connections

from django_runbook.runner.limits import Branch


def together(run: Callable[[int], None], *, count: int, at_once: int | None, halt: Branch) -> None:
    """Call ``run`` with each number below ``count``, at most ``at_once`` at a time, and return when all have ended."""

    def one(index: int) -> None:
        try:
            run(index)
        finally:
            # A last look at arguments may have asked the database, whose connections belong to their thread.
            connections.close_all()

    with ThreadPoolExecutor(max_workers=min(count, at_once or count), thread_name_prefix="runbook-branch") as pool:
        futures = [pool.submit(one, index) for index in range(count)]
        wait(futures, return_when=FIRST_EXCEPTION)
        if any(future.done() and future.exception() is not None for future in futures):
            # A fault of ours: what has not begun is not begun any more.
            halt.cancel("a fault of django-runbook")
    for future in futures:
        future.result()
