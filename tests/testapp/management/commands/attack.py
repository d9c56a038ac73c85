"""Attacks what the process of a step depends on."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from argparse import ArgumentParser
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from asgiref.sync import sync_to_async
from django.core.management.base import BaseCommand

# Kept, so that it is not shut down when it is collected.
POOLS: list[ThreadPoolExecutor] = []


def close_descriptors() -> None:
    os.closerange(0, 256)


def close_all_descriptors() -> None:
    os.closerange(3, resource.getrlimit(resource.RLIMIT_NOFILE)[0])


def overwrite_descriptors() -> None:
    """What Python has opened is now a file of the command's own."""
    file = os.open("mine", os.O_RDWR | os.O_CREAT)
    for number in range(3, 1024):
        with contextlib.suppress(OSError):
            os.fstat(number)
            os.dup2(file, number)
    print("a line that belongs to no file")


def fork_and_return() -> None:
    if os.fork() == 0:
        print("the copy returns")
        return
    os.wait()
    print("the command returns")


def fork_and_raise() -> None:
    if os.fork() == 0:
        raise ValueError("of the copy")
    os.wait()
    print("the command returns")


def leave_group() -> None:
    for leave in (os.setsid, lambda: os.setpgid(0, os.getppid())):
        with contextlib.suppress(OSError):
            leave()
    print(os.getpgid(0) == os.getpid())


def block_signals() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())


def leave_thread() -> None:
    def late() -> None:
        time.sleep(0.2)
        print("a late word", flush=True)

    threading.Thread(target=late).start()


def leave_pool() -> None:
    pool = ThreadPoolExecutor(1)
    POOLS.append(pool)
    pool.submit(print, "in a pool").result()


def run_async() -> None:
    asyncio.run(sync_to_async(print, thread_sensitive=False)("in a loop"))


def register_exit() -> None:
    atexit.register(print, "at exit")


def recurse() -> None:
    recurse()


def raise_unpicklable() -> None:
    class LocalError(Exception):
        def __reduce__(self) -> str:
            raise TypeError("not to be pickled")

    raise LocalError(threading.Lock())


def use_up_descriptors() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    kept = []
    try:
        while True:
            kept.append(os.open(os.devnull, os.O_RDONLY))
    finally:
        print(len(kept) > 10)


def write_garbage(data: bytes = b"not one of our messages") -> None:
    """What a program does that finds the descriptor of our channel among those that it was given."""
    for number in range(3, 256):
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(number)) as one:
            one.send(data)


def write_unreadable() -> None:
    write_garbage(bytes(7) + b"\x04oops")


def show_descriptors() -> None:
    """What a program is given that is started without care."""
    os.system("ls /proc/self/fd | tr '\\n' ' '")


def read_input() -> None:
    print(subprocess.run(["cat"], capture_output=True, check=True).stdout)


def draw() -> None:
    print(os.getpid(), __import__("random").random())


def show_surroundings() -> None:
    print(Path.cwd(), sys.flags.optimize, sys.warnoptions, sys.argv[1], sys.flags.dev_mode)


HOW = {
    function.__name__: function
    for function in (
        close_descriptors,
        close_all_descriptors,
        overwrite_descriptors,
        fork_and_return,
        fork_and_raise,
        leave_group,
        block_signals,
        leave_thread,
        leave_pool,
        run_async,
        register_exit,
        recurse,
        raise_unpicklable,
        use_up_descriptors,
        write_garbage,
        write_unreadable,
        show_descriptors,
        read_input,
        draw,
        show_surroundings,
    )
}


class Command(BaseCommand):
    help = "Attack."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("how", choices=sorted(HOW))

    def handle(self, *args: Any, **options: Any) -> None:
        HOW[options["how"]]()
