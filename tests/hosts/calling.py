"""Calls a runbook as the code of a host does, and notes what became of it."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from django.core.management import CommandError, call_command

_NUMBERS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def call_runbook(path: str, log: str) -> None:
    """Append a line with this process and the outcome to the file ``log``."""
    before = list(map(signal.getsignal, _NUMBERS))
    said = "ended without an exception"
    try:
        call_command("run_runbook", path, format="plain")
    except CommandError as error:
        said = f"CommandError {error.returncode}: {error}"
    except BaseException as error:
        said = f"{type(error).__name__}: {error}"
        raise
    finally:
        if list(map(signal.getsignal, _NUMBERS)) != before:
            said = f"other signal handlers, {said}"
        with Path(log).open("a") as file:
            file.write(f"{os.getpid()} {said}\n")
