"""Runs parts of a run in threads that drive them at the same time; the commands run in processes of their own."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from django.db import connections

from django_runbook.process.deadlines import Branch


def together(run: Callable[[int], None], *, count: int, at_once: int | None, halt: Branch) -> None:
    """Call ``run`` with each number below ``count``, at most ``at_once`` at a time, and return when all have ended."""
    errors: list[BaseException] = []

    def one(index: int) -> None:
        try:
            run(index)
        except BaseException as error:  # noqa: BLE001 - an internal error: it is raised when all have ended
            errors.append(error)
            halt.cancel("an internal error of django-runbook")
        finally:
            # A last check of arguments, or a receiver of a signal, may have used the database in this thread.
            connections.close_all()

    with ThreadPoolExecutor(max_workers=min(count, at_once or count), thread_name_prefix="runbook-branch") as pool:
        for index in range(count):
            pool.submit(one, index)
    if errors:
        raise errors[0]


def in_turn(run: Callable[[int], None], *, count: int) -> None:
    """Call ``run`` with each number below ``count``, one after another."""
    for index in range(count):
        run(index)
