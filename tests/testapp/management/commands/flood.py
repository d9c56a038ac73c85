"""Writes much, or in ways that Python does not see."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

# Long enough that a line is not written at once, and that lines of two writers could mix.
WIDTH = 3000
COUNT = 300


def line(number: int) -> str:
    return str(number) * WIDTH


def lines() -> None:
    for _ in range(COUNT):
        print(line(1))


def long_line() -> None:
    sys.stdout.write("é" * 1_000_000)


def long_line_of_descriptor() -> None:
    write_all("é".encode() * 1_000_000)


def binary() -> None:
    write_all(bytes(range(256)) * 4096 + b"\nend\n")


def threads() -> None:
    def write(number: int) -> None:
        for _ in range(COUNT):
            # In one call: print() makes two.
            sys.stdout.write(line(number) + "\n")

    each = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in each:
        thread.start()
    for thread in each:
        thread.join()


def forks() -> None:
    for number in range(3):
        if os.fork() == 0:
            for _ in range(20):
                # Short enough to be written at once: a pipe makes no promise for longer ones.
                sys.stdout.write(str(number) * 200 + "\n")
            os._exit(0)
    for _ in range(3):
        os.wait()


def descriptors() -> None:
    os.write(1, b"by descriptor\n")
    os.write(2, b"an error by descriptor\n")


def programs() -> None:
    subprocess.run(["sh", "-c", "echo by a program; echo an error by a program >&2"], check=True)


def secret() -> None:
    for text in (os.environ["WORD"], f"a {os.environ['WORD']} b"):
        print(text)
        subprocess.run(["sh", "-c", 'printf "%s\\n" "$0"', text], check=True)


def long_secret() -> None:
    """The word, also at each place at which a long line may be cut."""
    text = f"{os.environ['WORD']}é" * 20_000
    for start in range(0, len(text), 1000):
        sys.stdout.write(text[start : start + 1000])
    write_all(text.encode())


def long_secret_in_pieces() -> None:
    """As soon as a part of the word is there, the line is too long."""
    word = os.environ["WORD"]
    for part in ("z" * (128 * 1024 - 2), word[:4], word[4:], "z" * 9):
        sys.stdout.write(part)
    for part in ("z" * (128 * 1024 - 2), word[:4], word[4:], "z" * 9):
        write_all(part.encode())
        # So that it is read by itself.
        time.sleep(0.1)


def failing_secret() -> None:
    raise ValueError(f"not {os.environ['WORD']}")


def write_all(data: bytes) -> None:
    while data:
        data = data[os.write(1, data) :]


HOW = {
    function.__name__: function
    for function in (
        lines,
        long_line,
        long_line_of_descriptor,
        binary,
        threads,
        forks,
        descriptors,
        programs,
        secret,
        long_secret,
        long_secret_in_pieces,
        failing_secret,
    )
}


class Command(BaseCommand):
    help = "Write much."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("how", choices=sorted(HOW))

    def handle(self, *args: Any, **options: Any) -> None:
        HOW[options["how"]]()
