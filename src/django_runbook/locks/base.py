"""What every lock can do, and who holds one."""

from __future__ import annotations

import datetime
import json
import os
import socket
from dataclasses import asdict, dataclass
from typing import Protocol, Self


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """Who holds a lock, and since when, as far as it is known; ``since`` is in ISO 8601, with its time zone."""

    host: str = ""
    pid: int = 0
    since: str = ""
    what: str = ""

    @classmethod
    def here(cls, *, what: str) -> Self:
        """This process, from now on."""
        now = datetime.datetime.now(datetime.UTC).astimezone()
        return cls(host=socket.gethostname(), pid=os.getpid(), since=now.isoformat(timespec="seconds"), what=what)

    def __str__(self) -> str:
        if not self.pid:
            return "another process"
        what = f"{self.what}, " if self.what else ""
        return f"{what}process {self.pid} on {self.host}, since {self.since}"

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


class Lock(Protocol):
    """One process at a time holds it, until it lets go or ends, in whatever way."""

    @property
    def name(self) -> str: ...

    def acquire(self) -> Holder | None:
        """Take the lock without waiting; returns who holds it instead, None when it was taken."""

    def is_held(self) -> bool:
        """Whether it is still ours: it can get lost, where its file or its connection does."""

    def release(self) -> None: ...
