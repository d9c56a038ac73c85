"""Works for long, in the way that is asked for; each way writes its result to a file."""

from __future__ import annotations

import signal
import time
from argparse import ArgumentParser
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand
from django.db import connection

from tests.patience import eventually

LONG = 60.0


class Command(BaseCommand):
    stealth_options = ("stopping",)

    def add_arguments(self, parser: ArgumentParser) -> None:
        ways = ["items", "plain", "stubborn", "handler", "sql", "short", "late"]
        parser.add_argument("--how", choices=ways, required=True)
        parser.add_argument("--log", type=Path, required=True)
        parser.add_argument("--alias", default="default")
        parser.add_argument("--word", default="", help="To know a statement by.")

    def handle(self, *args: Any, **options: Any) -> None:
        self.log: Path = options["log"]
        self.word: str = options["word"]
        stopping: Callable[[], bool] = options.get("stopping") or (lambda: False)
        getattr(self, f"do_{options['how']}")(stopping)

    def say(self, text: str) -> None:
        with self.log.open("a") as file:
            file.write(text + "\n")

    def do_items(self, stopping: Callable[[], bool]) -> None:
        for number in range(600):
            if stopping():
                self.say(f"stopped before {number}")
                return
            self.say("item" if number == 0 else f"item {number}")
            time.sleep(0.1)

    def do_plain(self, stopping: Callable[[], bool]) -> None:
        self.say("started")
        time.sleep(LONG)

    def do_short(self, stopping: Callable[[], bool]) -> None:
        self.say("started")
        time.sleep(1.5)
        self.say("finished")

    def do_late(self, stopping: Callable[[], bool]) -> None:
        """Do not end with the item at which the stop is requested, but finish soon after it."""
        self.say("started")
        eventually(stopping)
        time.sleep(0.5)
        self.say("finished")

    def do_stubborn(self, stopping: Callable[[], bool]) -> None:
        self.say("started")
        until = time.monotonic() + LONG
        while time.monotonic() < until:
            try:
                time.sleep(LONG)
            except Exception:
                self.say("caught")

    def do_handler(self, stopping: Callable[[], bool]) -> None:
        asked: list[int] = []
        signal.signal(signal.SIGTERM, lambda number, frame: asked.append(number))
        self.say("started")
        while not asked:
            time.sleep(0.05)
        self.say("stopped by its own handler")

    def do_sql(self, stopping: Callable[[], bool]) -> None:
        self.say("started")
        with connection.cursor() as cursor:
            if connection.vendor == "postgresql":
                cursor.execute(f"SELECT pg_sleep(60) /* {self.word} */")
            elif connection.vendor == "mysql":
                cursor.execute("SELECT SLEEP(60)")
            else:
                cursor.execute(
                    "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 3000000000) "
                    "SELECT count(*) FROM c"
                )
