"""Ends its process, or replaces it by a program, as commands do that are written for a process of their own."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand


def exit_with_0() -> None:
    os._exit(0)


def exit_with_7() -> None:
    os._exit(7)


def exit_and_swallow() -> None:
    with contextlib.suppress(BaseException):
        os._exit(0)


def daemonize() -> None:
    if os.fork():
        os._exit(0)
    os.setsid()
    os._exit(0)


def execute() -> None:
    os.execl("/bin/true", "true")


def execute_by_path() -> None:
    os.execvpe("true", ["true"], {"PATH": "/bin"})


def in_children() -> None:
    codes = []
    for is_program in (False, True):
        pid = os.fork()
        if pid == 0:
            if is_program:
                os.execv("/bin/true", ["true"])
            os._exit(7)
        codes.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    print(*codes)


def in_thread() -> None:
    threading.Thread(target=os._exit, args=[0]).start()
    time.sleep(60)


HOW = {
    function.__name__: function
    for function in (
        exit_with_0,
        exit_with_7,
        exit_and_swallow,
        daemonize,
        execute,
        execute_by_path,
        in_children,
        in_thread,
    )
}


class Command(BaseCommand):
    help = "Leave."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("how", choices=sorted(HOW))

    def handle(self, *args: Any, **options: Any) -> None:
        HOW[options["how"]]()
