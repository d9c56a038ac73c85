"""Define what every lock can do, and who holds one."""

from __future__ import annotations

import datetime
import enum
import json
import os
import socket
import time
from dataclasses import asdict, dataclass
from typing import Any, Final, Protocol, Self

from django_runbook.cleaning import cleaned_line

# How long `keep` tries to get back a lock whose server is away: about as long as a database takes to restart.
PATIENCE_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """Names the holder of a lock, as far as it is known.

    ``since`` is in ISO 8601, in UTC, since the reader may be in another time zone than the holder.
    """

    host: str = ""
    pid: int = 0
    since: str = ""
    what: str = ""

    @classmethod
    def here(cls, *, what: str) -> Self:
        """Return this process, as a holder from now on."""
        return cls(host=socket.gethostname(), pid=os.getpid(), since=since_text(int(time.time())), what=what)

    def __str__(self) -> str:
        what = f"{self.what}, " if self.what else ""
        who = f"process {self.pid}" if self.pid else "another process"
        host = f" on {self.host}" if self.host else ""
        since = f", since {self.since}" if self.since else ""
        # Other processes, and other users, have written it.
        return cleaned_line(f"{what}{who}{host}{since}")

    def as_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def of_json(cls, text: str) -> Self:
        """Read a holder from text; returns an unknown one where that is not possible."""
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
    """Format a time as `Holder` has it."""
    return datetime.datetime.fromtimestamp(epoch_seconds, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def name_bytes(name: str) -> bytes:
    """Encode the name of a lock; the path of a file may hold what is not UTF-8."""
    return name.encode(errors="surrogatepass")


class LockState(enum.Enum):
    """Says whether a lock is still ours, once `Lock.keep` has done what it can."""

    HELD = "held"
    # It was lost and has been acquired again; nobody else had it meanwhile, as far as that can be known. Returned once.
    RETAKEN = "retaken"
    # What keeps the locks cannot be reached, or has not noticed yet that our connection is gone. Ask again.
    UNKNOWN = "unknown"
    LOST = "lost"


class Probe(enum.Enum):
    """Says whether a lock is held, as far as that can be told without acquiring it."""

    HELD = "held"
    # Nobody holds it, and that proves that its last holder has released it or is dead.
    FREE = "free"
    # The holder may live all the same: it holds the lock where this process cannot see it.
    UNKNOWN = "unknown"


class BasicLock(Protocol):
    """Excludes every other holder of the same name, until it is released or the process of its holder ends.

    A process that the holder forked does not hold it. If what keeps the locks fails, `acquire` raises LockUnavailable,
    `is_held` is false, and `release` says nothing. Making a lock has no effect outside of this process.
    """

    @property
    def name(self) -> str: ...

    def acquire(self) -> Holder | None:
        """Acquire the lock without waiting; returns the present holder, or None if it was acquired."""

    def is_held(self) -> bool:
        """Return whether it is ours at this moment. Changes nothing."""

    def release(self) -> None: ...


class Lock(BasicLock, Protocol):
    """Adds what a run needs of a lock. `complete` gives safe answers for a backend that has only a `BasicLock`."""

    def keep(self) -> LockState:
        """Ask whether it is still ours, and acquire it again if it was lost and nobody else has it.

        A watcher calls it about once a second while the lock is held, from any thread. Each call makes one try, of a
        few seconds at most. UNKNOWN is the answer for `PATIENCE_SECONDS` at most, LOST is final.
        """

    def probe(self) -> Probe:
        """Tell whether anybody holds it, without acquiring it; raises LockUnavailable like `acquire`."""

    def discard(self) -> None:
        """Release it and remove what it leaves, for a name that nobody will need again."""


_OPTIONAL: Final = ("keep", "probe", "discard")


def missing_methods(lock: BasicLock) -> tuple[str, ...]:
    """List the methods of `Lock` that a lock of a project's own backend lacks."""
    return tuple(name for name in _OPTIONAL if not callable(getattr(lock, name, None)))


def complete(lock: BasicLock) -> Lock:
    """Return the lock itself, or one that answers safely for the methods that it lacks."""
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
        # A free lock of an unknown kind proves nothing: it may be one that only its own host sees.
        found: Probe = probe() if callable(probe) else Probe.UNKNOWN
        return found

    def discard(self) -> None:
        getattr(self._lock, "discard", self._lock.release)()


class Patience:
    """Measures for how long a lock that was lost could not be acquired again."""

    def __init__(self, seconds: float = PATIENCE_SECONDS) -> None:
        self._seconds = seconds
        self._began_at: float | None = None

    def begin(self) -> None:
        """Start the clock, unless it runs already."""
        if self._began_at is None:
            self._began_at = time.monotonic()

    def end(self) -> None:
        """Stop the clock."""
        self._began_at = None

    @property
    def answer(self) -> LockState:
        """Return UNKNOWN until the time is over, and LOST from then on."""
        is_over = self._began_at is not None and time.monotonic() - self._began_at > self._seconds
        return LockState.LOST if is_over else LockState.UNKNOWN
