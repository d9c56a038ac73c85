"""Notes each start of a process and each connection to a service, which are for tests that are marked `slow`.

It is noted, and judged when the test has ended: an error raised here could be caught by the run that is tested.
"""

from __future__ import annotations

import os
import sys
from typing import Any, Final

import psycopg

_EVENTS: Final = frozenset(
    {"subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.system", "socket.connect"}
)
_OWNER: Final = os.getpid()
# What has been noted since the last test.
noted: list[str] = []


def watch() -> None:
    """Begin to take notes, until this process ends."""
    sys.addaudithook(_note)
    # The client library of PostgreSQL connects without Python's sockets.
    connect = psycopg.Connection.connect.__func__  # type: ignore[attr-defined]

    def connect_noted(cls: Any, *arguments: Any, **options: Any) -> Any:
        _note("psycopg.connect", ())
        return connect(cls, *arguments, **options)

    psycopg.Connection.connect = classmethod(connect_noted)  # type: ignore[method-assign,assignment]


def _note(event: str, arguments: tuple[Any, ...]) -> None:
    if (event in _EVENTS or event == "psycopg.connect") and os.getpid() == _OWNER:
        noted.append(event)
