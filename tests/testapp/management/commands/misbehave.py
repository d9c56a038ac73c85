"""Leaves something open, or asks for what it cannot have."""

from __future__ import annotations

import contextlib
import getpass
import os
import signal
import sys
import threading
import zoneinfo
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from django.db import DatabaseError, connection, transaction
from django.utils import timezone, translation

from tests.patience import PATIENCE_SECONDS
from tests.testapp.models import Mark


def ask() -> None:
    input("Sure? ")


def ask_for_password() -> None:
    getpass.getpass()


def read_all() -> None:
    sys.stdin.read()


def read_descriptor() -> None:
    assert os.read(0, 1) == b""


def install_handler() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)


def change_directory() -> None:
    os.chdir("/")


def change_environment() -> None:
    os.environ["LEFT_BEHIND"] = "x"
    os.environ.pop("HOME", None)


def activate() -> None:
    translation.activate("de")
    timezone.activate(zoneinfo.ZoneInfo("Asia/Tokyo"))


def change_umask() -> None:
    os.umask(0o077)


def replace_streams() -> None:
    sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115, PTH123 - what the test is about


def close_connection() -> None:
    connection.close()


def swallow_error() -> None:
    mark = Mark.objects.create(name="swallowed")
    with contextlib.suppress(DatabaseError):
        Mark(pk=mark.pk, name="again").save(force_insert=True)


def swallow_raw_error() -> None:
    Mark.objects.create(name="swallowed")
    with contextlib.suppress(DatabaseError), connection.cursor() as cursor:
        cursor.execute("SELECT * FROM nowhere")


def set_rollback() -> None:
    Mark.objects.create(name="rolled back")
    transaction.set_rollback(True)


def open_transaction() -> None:
    transaction.atomic().__enter__()
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE left_behind (id integer)")


def raw_transaction() -> None:
    with connection.cursor() as cursor:
        cursor.execute("BEGIN")


def autocommit_off() -> None:
    transaction.set_autocommit(False)


def write_from_thread() -> None:
    stream = sys.stdout
    release = threading.Event()

    def write() -> None:
        release.wait(PATIENCE_SECONDS)
        stream.write("")

    threading.Thread(target=write, daemon=True).start()
    release.set()


def threads() -> None:
    several = [threading.Thread(target=print, args=(f"thread {number}",)) for number in range(4)]
    for one in several:
        one.start()
    for one in several:
        one.join()


def surrogate() -> None:
    print("half of a character: \udc80")


def interrupt() -> None:
    raise KeyboardInterrupt


def stop_here() -> None:
    breakpoint()


def recurse() -> None:
    recurse()


HOW = {
    function.__name__: function
    for function in (
        ask,
        ask_for_password,
        read_all,
        read_descriptor,
        install_handler,
        change_directory,
        change_environment,
        activate,
        change_umask,
        replace_streams,
        close_connection,
        swallow_error,
        swallow_raw_error,
        set_rollback,
        open_transaction,
        raw_transaction,
        autocommit_off,
        write_from_thread,
        threads,
        surrogate,
        interrupt,
        recurse,
        stop_here,
    )
}


class Command(BaseCommand):
    help = "Misbehave."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("how", choices=sorted(HOW))

    def handle(self, *args: Any, **options: Any) -> None:
        HOW[options["how"]]()
