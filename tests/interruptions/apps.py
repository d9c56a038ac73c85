"""Stops a run where no command is at work, if a file in its folder asks for that: before a migration, between steps."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import Any

from django.apps import AppConfig
from django.db.models.signals import pre_migrate

from tests.patience import PATIENCE_SECONDS, eventually

# The files by which a run and its walker talk: the run waits, it is there, it may continue.
WAITS_IN_MIGRATE, WAITS_BETWEEN, THERE, HEARD, GO = "waits-in-migrate", "waits-between", "there", "heard-", "go"


class InterruptionsConfig(AppConfig):
    name = "tests.interruptions"

    def ready(self) -> None:
        from django_runbook.signals import step_finished

        pre_migrate.connect(_wait_in_migrate)
        step_finished.connect(_wait_between)


def wait_for(name: str) -> None:
    """Wait until the file is there."""
    eventually(Path(name).exists, pause_seconds=0.01)


def _wait_in_migrate(**more: Any) -> None:
    if Path(WAITS_IN_MIGRATE).exists() and not Path(THERE).exists():
        Path(THERE).touch()
        wait_for(GO)


def _wait_between(result: Any, **more: Any) -> None:
    if not Path(WAITS_BETWEEN).exists() or result.step_id != "one":
        return
    Path(THERE).touch()
    deadline = time.monotonic() + PATIENCE_SECONDS
    # Nothing is reported before a receiver returns: it tells itself how many requests to stop the run has heard.
    stop: Any = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
    while not Path(GO).exists() and time.monotonic() < deadline:
        for number in range(getattr(stop, "request_count", 0)):
            Path(f"{HEARD}{number + 1}").touch()
        time.sleep(0.01)
