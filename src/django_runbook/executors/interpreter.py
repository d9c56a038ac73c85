"""Runs one step in a fresh interpreter: in projects that cannot be forked, and for a command with variables of its own.

A project that starts threads during its setup cannot be forked. A command with variables is started by the project's
``manage.py``, which may choose its settings by them.
"""

from __future__ import annotations

import contextlib
import os
import runpy
import signal
import sys
from _socket import socket
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from django_runbook.executors import descriptors, keeper, server
from django_runbook.executors.channel import Channel


def main(end: socket, *, script: tuple[str, str] | None = None) -> NoReturn:
    """Receive the descriptors of one step over this socket, and set up Django, by the ``script`` if there is one."""
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    try:
        kind, given = descriptors.receive(end, server.MAX_GIVEN_COUNT)
        if kind != server.FORK or len(given) < server.GIVEN_COUNT:
            os._exit(1)
        channel_end, status_end, *standard = given[: server.GIVEN_COUNT]
        marks = given[server.GIVEN_COUNT :]

        def step() -> None:
            # The keeper has closed its descriptor.
            end.detach()
            # What the project prints while it is set up belongs to the step.
            server.take_streams(standard)
            if script is not None:
                _run_script(*script, lambda: server.serve_step(channel_end, problem=_problem_of_set_up()), channel_end)
            server.serve_step(channel_end, problem=_problem_of_set_up())

        status = Channel(socket(fileno=status_end))
        of_step = (channel_end, *standard)
        keeper.keep(step, status=status, parent_end=end.fileno(), of_step=of_step, marks=marks)
    finally:
        os._exit(1)


def _problem_of_set_up() -> BaseException | None:
    try:
        server.set_up_django()
    except BaseException as error:  # noqa: BLE001 - the step reports it
        return error
    return None


def _run_script(path: str, module: str, serve: Callable[[], None], channel_end: int) -> NoReturn:
    """Run ``manage.py``, and call ``serve`` where it would execute a command."""
    from django.core.management import ManagementUtility

    def execute(utility: ManagementUtility) -> None:
        try:
            serve()
        except SystemExit as error:
            os._exit(error.code if isinstance(error.code, int) else 1)
        # What the script does after a command has no place in a step, which has ended.
        os._exit(0)

    setattr(ManagementUtility, "execute", execute)  # noqa: B010 - for mypy a method is final
    # As Python does it: the folder of a script, and the working directory for ``python -m``.
    sys.path.insert(0, str(Path.cwd() if module else Path(path).parent))
    problem: BaseException
    try:
        if module:
            runpy.run_module(module, run_name="__main__", alter_sys=True)
        else:
            runpy.run_path(path, run_name="__main__")
        problem = RuntimeError(f"{path} executed no command")
    except BaseException as error:  # noqa: BLE001 - the step reports it
        problem = error
    with contextlib.suppress(SystemExit):
        server.serve_step(channel_end, problem=problem)
    os._exit(1)
