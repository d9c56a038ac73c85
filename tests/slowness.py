"""Notes what makes a test slow: a process that it starts, a service that it connects to, its time.

All is noted, and judged when the test has ended: an error raised at once could be caught by the run that is tested.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from typing import Any, Final

import psycopg

from tests.patience import scaled

_EVENTS: Final = frozenset(
    {"subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.system", "socket.connect"}
)
_OWNER: Final = os.getpid()
# Of the processor: a tenth of it on a quiet machine, since others slow it down by sharing its caches.
_LIMIT_SECONDS: Final = scaled(10)
# What the test has done so far.
noted: list[str] = []
# What earlier tests have left running, such as a reporter that still tries to deliver, is none of its doing.
_earlier_threads: tuple[threading.Thread, ...] = ()
_began_at = time.process_time()
_is_first = True


def begin() -> None:
    """Forget what earlier tests have done, and ignore what their threads do from now on."""
    global _earlier_threads  # noqa: PLW0603 - one test runs at a time
    noted.clear()
    _earlier_threads = tuple(one for one in threading.enumerate() if one is not threading.main_thread())


def start_clock() -> None:
    """Measure the processor's time from now on; what the first test has set up until now is shared by all others."""
    global _began_at, _is_first  # noqa: PLW0603 - one test runs at a time
    if _is_first:
        noted.clear()
    _is_first = False
    _began_at = time.process_time()


def reasons() -> list[str]:
    """Return why the test is slow."""
    seconds = time.process_time() - _began_at
    return [*sorted(set(noted)), *([f"{seconds:.1f} s of the processor"] if seconds > _LIMIT_SECONDS else [])]


def watch() -> None:
    """Take notes until this process ends."""
    sys.addaudithook(_note)
    # The client library of PostgreSQL connects without Python's sockets.
    connect = psycopg.Connection.connect.__func__  # type: ignore[attr-defined]  # not in the stubs

    def connect_noted(cls: Any, *arguments: Any, **options: Any) -> Any:
        _note("psycopg.connect", ())
        return connect(cls, *arguments, **options)

    psycopg.Connection.connect = classmethod(connect_noted)  # type: ignore[method-assign,assignment]  # replaced for this process
    # Django calls it by this name, which the original is bound to.
    psycopg.connect = psycopg.Connection.connect


def _note(event: str, arguments: tuple[Any, ...]) -> None:
    is_slow = event in _EVENTS or event == "psycopg.connect"
    if is_slow and os.getpid() == _OWNER and not _is_in_earlier_thread():
        noted.append(event)


def _is_in_earlier_thread() -> bool:
    # The number of a thread that has ended may be that of another one.
    number = threading.get_ident()
    return any(one.ident == number and one.is_alive() for one in _earlier_threads)
