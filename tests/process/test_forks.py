"""Tries signals to processes that a command forks."""

from __future__ import annotations

import os
import signal

import pytest

from django_runbook.process.stopping import Stop

pytestmark = pytest.mark.slow


def test_a_signal_to_a_child_does_not_stop_its_parent() -> None:
    before = {
        number: signal.signal(number, signal.SIG_DFL) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    }
    try:
        with Stop() as stop:
            codes = []
            for _ in range(60):
                pid = os.fork()
                if pid == 0:
                    signal.pause()
                    os._exit(0)
                # As early as possible: a pool may end its workers before they have begun.
                os.kill(pid, signal.SIGTERM)
                codes.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
            assert set(codes) == {-signal.SIGTERM}
            assert not stop.is_requested
            assert signal.SIGTERM not in signal.pthread_sigmask(signal.SIG_BLOCK, ())
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
