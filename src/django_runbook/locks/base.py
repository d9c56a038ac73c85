"""Defines the interface of locks, and their holders."""

from __future__ import annotations

import datetime
import enum
import json
import os
import socket
import time
from typing import Any, Final, Protocol, Self

from django_runbook.cleaning import cleaned_line
from django_runbook.structs import Struct, asdict

# `keep` tries for this long to acquire a lock again whose server is unavailable: about the restart of a database.
PATIENCE_SECONDS: Final = 60.0


class Holder(Struct):
    """Describes the holder of a lock; unknown parts are empty.

    ``since`` is in ISO 8601 and in UTC, since the holder may be in another time zone than the reader.
    """

    host: str = ""
    pid: int = 0
    since: str = ""
    what: str = ""

    @classmethod
    def here(cls, *, what: str) -> Self:
        """Return this process as the holder from now on."""
        return cls(host=socket.gethostname(), pid=os.getpid(), since=since_text(int(time.time())), what=what)

    def __str__(self) -> str:
        what = f"{self.what}, " if self.what else ""
        who = f"process {self.pid}" if self.pid else "another process"
        host = f" on {self.host}" if self.host else ""
        since = f", since {self.since}" if self.since else ""
        # Other processes and users may have written these values.
        return cleaned_line(f"{what}{who}{host}{since}")

    def as_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def of_json(cls, text: str) -> Self:
        """Parse a holder; return an unknown one if that fails."""
        try:
            values = json.loads(text)
            return cls(
                host=str(values["host"]),
                pid=int(values["pid"]),
                since=str(values["since"]),
                what=str(values["what"]),
            )
        except (ValueError, KeyError, TypeError):
            return cls()


def since_text(epoch_seconds: int) -> str:
    """Format a time for ``Holder.since``."""
    return datetime.datetime.fromtimestamp(epoch_seconds, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def name_bytes(name: str) -> bytes:
    """Encode the name of a lock; the path of a file may contain bytes that are not UTF-8."""
    return name.encode(errors="surrogatepass")


class LockState(enum.Enum):
    """Lists the results of `Lock.keep`."""

    HELD = "held"
    # The lock was lost and acquired again, and no other holder in between is known. Returned once.
    RETAKEN = "retaken"
    # The lock store is unavailable, or has not noticed yet that our connection is closed. Call `keep` again.
    UNKNOWN = "unknown"
    LOST = "lost"


class Probe(enum.Enum):
    """Lists the results of `Lock.probe`."""

    HELD = "held"
    # The lock is free, which proves that its last holder has released it or is dead.
    FREE = "free"
    # The holder may be alive, and hold the lock where this process cannot see it.
    UNKNOWN = "unknown"


class BasicLock(Protocol):
    """Excludes all other holders of the same name, until it is released or the process of its holder ends.

    A forked child of the holder does not hold the lock. If the lock store fails, `acquire` raises LockUnavailable,
    `is_held` returns False, and `release` raises nothing. Creating a lock has no effect outside this process.
    """

    @property
    def name(self) -> str: ...

    def acquire(self) -> Holder | None:
        """Acquire the lock without waiting; return the present holder, or None if it was acquired."""

    def is_held(self) -> bool:
        """Return whether this process holds the lock now, without changing anything."""

    def release(self) -> None: ...


class Lock(BasicLock, Protocol):
    """Adds the methods that a run needs. `complete` adds safe versions to a `BasicLock`."""

    def keep(self) -> LockState:
        """Check that the lock is still held; acquire it again if it was lost and is free.

        A watcher calls this about once a second while the lock is held, from any thread. Each call makes one attempt
        of a few seconds at most. UNKNOWN is returned for `PATIENCE_SECONDS` at most; LOST is final.
        """

    def probe(self) -> Probe:
        """Return whether the lock is held, without acquiring it; raise LockUnavailable like `acquire`."""

    def discard(self) -> None:
        """Release the lock and remove its traces, because its name will not be used again."""


_OPTIONAL: Final = ("keep", "probe", "discard")


def missing_methods(lock: BasicLock) -> tuple[str, ...]:
    """Return the names of the `Lock` methods that a lock lacks."""
    return tuple(name for name in _OPTIONAL if not callable(getattr(lock, name, None)))


def complete(lock: BasicLock) -> Lock:
    """Return the lock itself, or a wrapper with safe versions of the missing methods."""
    whole: Any = lock
    return _Completed(lock) if missing_methods(lock) else whole


class _Completed:
    def __init__(self, lock: BasicLock) -> None:
        self._lock = lock

    @property
    def name(self) -> str:
        return self._lock.name

    def acquire(self) -> Holder | None:
        return self._lock.acquire()

    def is_held(self) -> bool:
        return self._lock.is_held()

    def release(self) -> None:
        self._lock.release()

    def keep(self) -> LockState:
        keep = getattr(self._lock, "keep", None)
        if callable(keep):
            state: LockState = keep()
            return state
        return LockState.HELD if self._lock.is_held() else LockState.LOST

    def probe(self) -> Probe:
        probe = getattr(self._lock, "probe", None)
        # A free lock of an unknown kind proves nothing: it may be visible on its own host only.
        found: Probe = probe() if callable(probe) else Probe.UNKNOWN
        return found

    def discard(self) -> None:
        getattr(self._lock, "discard", self._lock.release)()


class Patience:
    """Limits the attempts to acquire a lost lock again."""

    def __init__(self, seconds: float = PATIENCE_SECONDS) -> None:
        self._seconds = seconds
        self._began_at: float | None = None

    def begin(self) -> None:
        """Start the clock, unless it is running."""
        if self._began_at is None:
            self._began_at = time.monotonic()

    def end(self) -> None:
        """Stop the clock."""
        self._began_at = None

    @property
    def answer(self) -> LockState:
        """Return UNKNOWN until the time has expired, and LOST from then on."""
        is_over = self._began_at is not None and time.monotonic() - self._began_at > self._seconds
        return LockState.LOST if is_over else LockState.UNKNOWN
