"""Kills a command at each of its database statements, to prove that it can be run again after any of them."""

from __future__ import annotations

import os
import select
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from typing import Any, Final, NoReturn

from django.core.management import call_command
from django.core.management.base import BaseCommand
from django.db import connections

from django_runbook.process.connections import is_in_memory

_SECONDS: Final = 60.0
_FAILED: Final = 1


def kill_points(
    command: str | BaseCommand, *args: Any, every: int = 1, timeout_seconds: float = _SECONDS, **options: Any
) -> Iterator[int]:
    """Call a command again and again, each time in a forked process that is killed one point later.

    A point is after each statement, and right before and after each commit, on any database. Yields the number of the
    point after each kill: the test then calls the command again, checks the rows and restores them. Ends when the
    command reaches its end before the point. ``every`` leaves points out: with 5, each fifth one is tried. ``args`` and
    ``options`` are those of ``call_command``.

    Raises AssertionError if the command fails, or takes longer than ``timeout_seconds``, and RuntimeError where a
    process cannot be killed alone: in a transaction, as in a TestCase, or with a database in memory.
    """
    point = 1
    while _was_killed(lambda: call_command(command, *args, **options), point=point, timeout_seconds=timeout_seconds):
        yield point
        point += every


def _was_killed(work: Callable[[], object], *, point: int, timeout_seconds: float) -> bool:
    _refuse_obstacles()
    # The child would share the sockets.
    connections.close_all()
    # What is buffered belongs to the test.
    sys.stdout.flush()
    sys.stderr.flush()
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        _work_until(point, work, writer)
    os.close(writer)
    try:
        report = _read_until_end(reader, pid, timeout_seconds=timeout_seconds)
    finally:
        os.close(reader)
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL and not report:
        return True
    if report:
        raise AssertionError(report)
    return False


def _refuse_obstacles() -> None:
    for connection in connections.all(initialized_only=True):
        if connection.in_atomic_block:
            raise RuntimeError(
                "a transaction cannot be shared with the process that is killed: use a TransactionTestCase"
            )
    for alias in connections:
        if is_in_memory(alias):
            raise RuntimeError(f'the database "{alias}" is in memory, and cannot be seen by the process that is killed')


def _read_until_end(reader: int, pid: int, *, timeout_seconds: float) -> str:
    """Return what the child reports of its failure; an empty string if it was killed or has succeeded."""
    parts: list[bytes] = []
    while True:
        ready, _, _ = select.select([reader], [], [], timeout_seconds)
        if not ready:
            os.kill(pid, signal.SIGKILL)
            return f"the command has not ended after {timeout_seconds:g} seconds"
        part = os.read(reader, 65536)
        if not part:
            return b"".join(parts).decode(errors="replace")
        parts.append(part)


def _work_until(point: int, work: Callable[[], object], writer: int) -> NoReturn:
    """Work in the child until the point; it never returns to the test."""
    try:
        _kill_at(point)
        work()
        connections.close_all()
        os._exit(0)
    except BaseException:  # noqa: BLE001 - the parent raises it
        os.write(writer, traceback.format_exc().encode(errors="backslashreplace"))
    os._exit(_FAILED)


def _kill_at(point: int) -> None:
    left = point

    def reach() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(execute: Any, sql: Any, params: Any, many: Any, context: Any) -> Any:
        result = execute(sql, params, many, context)
        reach()
        return result

    for connection in connections.all():
        connection.execute_wrappers.append(around)
        _surround_commit(connection, reach)


def _surround_commit(connection: Any, reach: Callable[[], None]) -> None:
    commit = connection._commit

    def commit_between() -> None:
        reach()
        commit()
        reach()

    connection._commit = commit_between
