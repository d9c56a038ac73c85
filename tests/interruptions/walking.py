"""Interrupts a run at each of its moments in each way, and writes what became of it as JSON.

``python -m tests.interruptions.walking FOLDER [WORD…]``: one process, without threads, which forks all others from
itself after it has set Django up. ``WALK_DATABASE`` names the server; each word is a part of the cells to be walked.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
import uuid
from pathlib import Path
from typing import Any, Final

import django
import psycopg
from django.conf import settings
from django.core.management import call_command, execute_from_command_line
from django.db import connections

from tests.interruptions.cells import EVENTS, Cell, Wait, Waits
from tests.interruptions.moments import MOMENTS
from tests.interruptions.processes import Process

# A database that is away keeps its cell waiting, and no processor busy.
AT_ONCE: Final = int(os.environ.get("WALK_AT_ONCE", "6"))
_SLICE_SECONDS: Final = 0.005


class Databases:
    """Makes databases on one server, and drops them."""

    def __init__(self, server: dict[str, Any]) -> None:
        self._server = server
        self._prefix = f"walk_{uuid.uuid4().hex[:8]}"
        self._count = 0

    def new(self) -> str:
        """Make an empty one; return its name."""
        self._count += 1
        name = f"{self._prefix}_{self._count}"
        self._do(f"CREATE DATABASE {name}")
        return name

    def drop_all(self) -> None:
        for number in range(1, self._count + 1):
            self._do(f"DROP DATABASE IF EXISTS {self._prefix}_{number} WITH (FORCE)")

    def _do(self, statement: str) -> None:
        with connected(self._server, self._server["NAME"]) as connection:
            connection.execute(statement)


def connected(server: dict[str, Any], name: str) -> psycopg.Connection[tuple[Any, ...]]:
    """Connect to one database of the server."""
    return psycopg.connect(
        host=server["HOST"],
        port=server["PORT"],
        user=server["USER"],
        password=server["PASSWORD"],
        dbname=name,
        autocommit=True,
    )


def main(folder: Path, words: list[str]) -> None:
    """Walk all cells, a few at a time."""
    django.setup()
    _import_all(folder)
    server = dict(settings.DATABASES["default"])
    databases = Databases(server)
    cells: list[Cell] = []
    try:
        shared = databases.new()
        _migrate(server, shared, folder)
        for event in EVENTS:
            for moment in MOMENTS:
                if all(word in f"{moment.key} {event}" for word in words):
                    name = shared if moment.key != "before-the-tables-exist" else databases.new()
                    cells.append(Cell(moment, event, folder=folder, server=server, database=name))
        _play(cells)
    finally:
        databases.drop_all()
    (folder / "seen.json").write_text(json.dumps([cell.seen for cell in cells]))


def _import_all(folder: Path) -> None:
    """Import what a run needs before the forks."""
    path = folder / "warm.yml"
    path.write_text("steps: [stay one]\n")
    with (folder / "warm").open("w") as stream:
        call_command("run_runbook", str(path), plan=True, stdout=stream)
    # The plan has asked the history: a fork with its connection would stay in that database.
    connections.close_all()
    # A collection in a child would copy what it shares with this process.
    gc.collect()
    gc.freeze()


def _migrate(server: dict[str, Any], name: str, folder: Path) -> None:
    def migrate() -> None:
        settings.DATABASES["default"]["NAME"] = name
        execute_from_command_line(["manage.py", "migrate", "--verbosity", "0"])

    process = Process(migrate, folder=folder, output=folder / "migrate")
    while process.exit_code is None:
        time.sleep(_SLICE_SECONDS)
    assert process.exit_code == 0, process.text


def _play(cells: list[Cell]) -> None:
    # Those that wait longest come first, and all at once.
    waiting = sorted(cells, key=lambda cell: not cell.is_idle)
    playing: dict[Cell, tuple[Waits, Wait]] = {}
    while waiting or playing:
        while waiting and (waiting[0].is_idle or sum(not cell.is_idle for cell in playing) < AT_ONCE):
            cell = waiting.pop(0)
            playing[cell] = (play := cell.play()), next(play)
        for cell, (play, wait) in tuple(playing.items()):
            following: Wait | None = None
            try:
                following = next(play, None) if wait.is_over() else wait
            except AssertionError as error:
                play.close()
                cell.seen["error"] = str(error)
            if following is None:
                del playing[cell]
            else:
                playing[cell] = play, following
        time.sleep(_SLICE_SECONDS)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
