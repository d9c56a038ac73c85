"""Starts processes of its own, lists them in a file, and ends or continues, as asked."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand

LONG = 60.0


def sleep(**options: Any) -> None:
    subprocess.Popen(["sleep", str(LONG)], **options)


def plain(log: Path) -> None:
    sleep()


def stubborn(log: Path) -> None:
    subprocess.Popen([sys.executable, "-c", f"import signal, time; signal.signal(15, 1); time.sleep({LONG})"])


def session(log: Path) -> None:
    process = subprocess.Popen(["sleep", str(LONG)], start_new_session=True)
    log.with_suffix(".escaped").write_text(str(process.pid))


def double(log: Path) -> None:
    if os.fork() == 0:
        if os.fork() == 0:
            time.sleep(LONG)
        os._exit(0)
    os.wait()


def none(log: Path) -> None:
    pass


def ignore() -> None:
    """Wait as one that nothing but SIGKILL can end: the signals are blocked, and the watchdog's are too."""
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    time.sleep(LONG)


def hold_gil() -> None:
    # PyDLL keeps the lock that all threads of Python need; a signal would end the call.
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    ctypes.PyDLL(None).sleep(int(LONG))


def halt() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def wait() -> None:
    time.sleep(LONG)


def leave() -> None:
    pass


CHILDREN = {function.__name__: function for function in (plain, stubborn, session, double, none)}
THEN = {function.__name__: function for function in (leave, wait, ignore, hold_gil, halt)}


class Command(BaseCommand):
    help = "Start processes."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("child", choices=sorted(CHILDREN))
        parser.add_argument("--then", choices=sorted(THEN), default="leave")
        parser.add_argument("--log", type=Path, required=True)

    def handle(self, *args: Any, **options: Any) -> None:
        log: Path = options["log"]
        CHILDREN[options["child"]](log)
        # Whole or not at all: the test reads it as soon as it is there.
        log.with_suffix(".new").write_text(f"{os.getpgid(0)} {os.getpid()} {os.getppid()}")
        log.with_suffix(".new").rename(log)
        THEN[options["then"]]()
