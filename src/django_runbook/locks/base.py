"""What every lock can do, and who holds one."""

from __future__ import annotations

import datetime
import json
import os
import socket
import time
from dataclasses import asdict, dataclass
from typing import Protocol, Self


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """Who holds a lock, and since when, as far as it is known.

    ``since`` is in ISO 8601, in UTC: who reads it may be in another time zone than who wrote it.
    """

    host: str = ""
    pid: int = 0
    since: str = ""
    what: str = ""

    @classmethod
    def here(cls, *, what: str) -> Self:
        """This process, from now on."""
        return cls(host=socket.gethostname(), pid=os.getpid(), since=since_text(int(time.time())), what=what)

    def __str__(self) -> str:
        what = f"{self.what}, " if self.what else ""
        who = f"process {self.pid}" if self.pid else "another process"
        host = f" on {self.host}" if self.host else ""
        since = f", since {self.since}" if self.since else ""
        return f"{what}{who}{host}{since}"

    def as_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def of_json(cls, text: str) -> Self:
        """The holder that a text tells of; an unknown one where it cannot be read."""
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
    """A time as `Holder` has it."""
    return datetime.datetime.fromtimestamp(epoch_seconds, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Lock(Protocol):
    """One holder at a time has it, until it lets go or its process ends, in whatever way.

    A process that the holder forked does not hold it. What keeps the locks may fail at each of these:
    `acquire` raises LockUnavailable then, `is_held` is false, `release` says nothing.
    """

    @property
    def name(self) -> str: ...

    def acquire(self) -> Holder | None:
        """Take the lock without waiting; returns who holds it instead, None when it was taken."""

    def is_held(self) -> bool:
        """Whether it is still ours: it can get lost, where its file or its connection does."""

    def release(self) -> None: ...
