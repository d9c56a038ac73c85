"""Ends its process in ways that leave no time for a word."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand


def segfault() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ctypes.string_at(0)


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def terminate() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGTERM)


def leave_with_0() -> None:
    os._exit(0)


def leave_with_7() -> None:
    os._exit(7)


def memory() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (400 << 20, 400 << 20))
    bytearray(1 << 30)


HOW = {function.__name__: function for function in (segfault, kill, terminate, leave_with_0, leave_with_7, memory)}


class Command(BaseCommand):
    help = "Crash."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("how", choices=sorted(HOW))

    def handle(self, *args: Any, **options: Any) -> None:
        print("about to crash")
        HOW[options["how"]]()
