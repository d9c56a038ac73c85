"""Runs one step in a fresh interpreter, for projects that start threads during setup and so cannot be forked."""

from __future__ import annotations

import os
import signal
from _socket import socket
from typing import NoReturn

from django_runbook.executors import descriptors, keeper, server
from django_runbook.executors.channel import Channel


def main(end: socket) -> NoReturn:
    """Receive the descriptors of one step over this socket, and set up Django in its process."""
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    try:
        kind, given = descriptors.receive(end, server.MAX_GIVEN_COUNT)
        if kind != server.FORK or len(given) < server.GIVEN_COUNT:
            os._exit(1)
        channel_end, status_end, *standard = given[: server.GIVEN_COUNT]
        marks = given[server.GIVEN_COUNT :]

        def step() -> None:
            problem: BaseException | None = None
            # The keeper has closed its descriptor.
            end.detach()
            try:
                server.set_up_django()
            except BaseException as error:  # noqa: BLE001 - the step reports it
                problem = error
            server.become_step(channel_end, standard, problem=problem)

        status = Channel(socket(fileno=status_end))
        of_step = (channel_end, *standard)
        keeper.keep(step, status=status, parent_end=end.fileno(), of_step=of_step, marks=marks)
    finally:
        os._exit(1)
