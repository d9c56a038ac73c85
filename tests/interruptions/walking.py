"""Interrupts a run at one of its moments in each way, and writes what became of it as JSON.

One process, without threads, which has set Django up and forks all others from itself. ``WALK_DATABASE`` names the server.
"""

from __future__ import annotations

import json
import os
import time
import uuid
from pathlib import Path
from typing import Any, Final

import psycopg
from django.conf import settings

from tests.interruptions.cells import EVENTS, Cell, Wait, Waits
from tests.interruptions.moments import MOMENTS

# A database that is away keeps its cell waiting, and no processor busy.
AT_ONCE: Final = int(os.environ.get("WALK_AT_ONCE", "3"))
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


def main(folder: Path, key: str, *, migrated: str) -> None:
    """Walk all cells of a moment, a few at a time; ``migrated`` is a database that has the tables."""
    server = dict(settings.DATABASES["default"])
    databases = Databases(server)
    (moment,) = (moment for moment in MOMENTS if moment.key == key)
    cells: list[Cell] = []
    try:
        for event in EVENTS:
            name = migrated if moment.needs_tables else databases.new()
            cells.append(Cell(moment, event, folder=folder, server=server, database=name))
        _play(cells)
    finally:
        databases.drop_all()
    (folder / "seen.json").write_text(json.dumps([cell.seen for cell in cells]))


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
