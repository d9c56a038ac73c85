"""Reads standard input in one of the ways that commands have."""

from __future__ import annotations

import getpass
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandParser


class Command(BaseCommand):
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("how", choices=sorted(WAYS))

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(WAYS[options["how"]]())


def _ask() -> str:
    return f"{input()}, {input()}"


def _ask_too_often() -> str:
    return _ask() + input()


def _password() -> str:
    return f"{getpass.getpass()}, {getpass.getpass('Again: ')}"


def _is_regular() -> str:
    return f"{sys.stdin.isatty()}, {sys.stdin.fileno()}"


def _close() -> str:
    sys.stdin.close()
    os.close(0)
    return "closed"


def _fail_first() -> str:
    answer = input()
    if not Path("tried").exists():
        Path("tried").touch()
        raise ValueError(answer)
    return answer


def _count() -> str:
    return str(len(sys.stdin.read()))


WAYS: Mapping[str, Callable[[], str]] = {
    "ask": _ask,
    "ask_too_often": _ask_too_often,
    "bytes": lambda: repr(sys.stdin.buffer.read()),
    "close": _close,
    "count": _count,
    "descriptor": lambda: repr(os.read(0, 100)),
    "fail_first": _fail_first,
    "is_regular": _is_regular,
    "lines": lambda: ", ".join(line.rstrip() for line in sys.stdin),
    "nothing": lambda: "nothing read",
    "password": _password,
    "program": lambda: subprocess.run(["cat"], capture_output=True, text=True, check=True).stdout,
    "read": lambda: repr(sys.stdin.read()),
}
