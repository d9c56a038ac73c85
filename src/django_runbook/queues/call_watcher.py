"""Keeps the row of a running call up to date, and reads the stop requests in it, from a thread of its own."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Self

from django.db import Error, connections, transaction

from django_runbook.journal.connection import JournalConnection
from django_runbook.models import statements
from django_runbook.models.calls import Call, CallOutput, CallStatus, StopLevel
from django_runbook.models.fields import to_db_text
from django_runbook.queues.call_halt import CallHalt
from django_runbook.structs import Struct, field

_INTERVAL_SECONDS: Final = 1.0
# A command that writes faster than the database waits for it, so that its output does not fill the memory.
_MAX_WAITING_CHARACTERS: Final = 4 * 1024 * 1024
_EARLY_CHARACTERS: Final = 256 * 1024
# The limit of a packet is 16 MB in MariaDB, and JSON needs up to 14 bytes for a character there.
_MAX_PART_CHARACTERS: Final = 256 * 1024
# The cost of a line besides its characters, so that empty lines are limited too.
_PER_LINE: Final = 16
_REQUESTS: Final = ("id", "claim", "status", "stop_level", "is_releasing", "pause_count")
# A run that reports output more slowly asks again each second; without a request, it has died or caught up.
_PAUSE_SECONDS: Final = 3.0


class PendingOutput(Struct):
    """Holds lines and the progress to store; ``unsure_count`` lines may be stored already, as parts of their own."""

    lines: list[list[str]] = field(default_factory=list)
    unsure_count: int = 0
    progress: Mapping[str, Any] = field(default_factory=dict)


class CallWatcher:
    """Stores the output and the progress of a call about once a second; as a context manager, runs its thread.

    ``is_committing`` says that the process of an atomic call writes to the row from now on.
    """

    def __init__(self, *, call: Call, halt: CallHalt, alias: str) -> None:
        self.is_committing = False
        self._call = call
        self._halt = halt
        self._alias = alias
        self._lines: list[list[str]] = []
        self._unsure_count = 0
        self._character_count = 0
        self._progress: dict[str, Any] = {}
        self._guard = threading.Condition()
        self._is_over = False
        self._pause_count = call.pause_count
        self._paused_until = -math.inf
        self._can_write_more = True
        # Held during a write, which decides the number of the next part.
        self._writing = threading.Lock()
        # The transaction of an atomic command holds the only lock of SQLite.
        self._can_write = not (call.is_atomic and connections[alias].vendor == "sqlite")

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._watch, name="runbook-call", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        with self._guard:
            self._is_over = True
            self._guard.notify_all()
        self._thread.join()

    def accepts_output(self) -> bool:
        """Return False while too many lines wait for the database, or too much output for the run."""
        is_pausing = time.monotonic() < self._paused_until
        return not is_pausing and (self._character_count < _MAX_WAITING_CHARACTERS or not self._can_write)

    def write_line(self, stream: str, line: str) -> None:
        """Keep a line until the next write."""
        if self._call.is_hidden:
            return
        with self._guard:
            self._lines.append([stream, to_db_text(line)])
            self._character_count += len(line) + 1
            if self._is_due_early:
                self._guard.notify_all()

    def report_progress(self, done_count: int, total_count: int | None, failed_count: int, /) -> None:
        """Keep the progress until the next write."""
        progress = {"done_count": done_count, "total_count": total_count, "failed_count": failed_count}
        with self._guard:
            self._progress = progress

    def begin_commit(self) -> PendingOutput:
        """Let the process of an atomic call write to the row, with this output; it is kept until `pending_output`."""
        with self._writing:
            self.is_committing = True
        return self.pending_output()

    def pending_output(self) -> PendingOutput:
        """Return the lines that are not known to be stored, and the latest progress."""
        with self._guard:
            return PendingOutput(lines=list(self._lines), unsure_count=self._unsure_count, progress=self._progress)

    def _watch(self) -> None:
        try:
            while not self._is_over:
                with self._guard:
                    self._guard.wait_for(lambda: self._is_over or self._is_due_early, timeout=_INTERVAL_SECONDS)
                if not self._is_over:
                    self._can_write_more = self._update()
        finally:
            connections.close_all()

    @property
    def _is_due_early(self) -> bool:
        return self._can_write_more and self._character_count > _EARLY_CHARACTERS

    def _update(self) -> bool:
        """Read the stop requests, and write what is new; return whether more can be written immediately."""
        try:
            # First: on SQLite, the command may hold the lock that a write waits for.
            self._read_requests()
            with self._writing:
                can_write = self._can_write and not self.is_committing
                if can_write:
                    self._write()
        except Error:
            # A database that is away is tried again the next time.
            JournalConnection(self._alias).reconnect()
            return False
        return can_write

    def _write(self) -> None:
        with self._guard:
            lines = self._lines[: self._unsure_count or None]
            progress = self._progress
            output = PendingOutput(lines=lines, unsure_count=self._unsure_count, progress=progress)
            # The answer to the commit may be lost.
            self._unsure_count = len(lines)
        if not lines and not progress:
            return
        self._halt.was_claim_lost = not write_with_output(self._call, output, self._call.note, using=self._alias)
        with self._guard:
            del self._lines[: len(lines)]
            self._character_count -= sum(len(line) + 1 for _, line in lines)
            self._unsure_count = 0
            if self._progress is progress:
                self._progress = {}

    def _read_requests(self) -> None:
        rows = statements.select(Call, {"id": self._call.pk}, names=_REQUESTS, using=self._alias)
        if not rows or rows[0].claim != self._call.claim:
            self._halt.was_claim_lost = True
        elif rows[0].status != CallStatus.RUNNING:
            self._halt.was_claim_lost = not self.is_committing
        else:
            self._halt.level = StopLevel(rows[0].stop_level)
            if rows[0].pause_count != self._pause_count:
                self._pause_count = rows[0].pause_count
                self._paused_until = time.monotonic() + _PAUSE_SECONDS
            if rows[0].is_releasing:
                self._halt.note_shutdown()


def write_with_output(call: Call, output: PendingOutput, write: Callable[..., bool], *, using: str) -> bool:
    """Write to the row of a call, and insert the parts of its output; return False if this worker lost its claim.

    ``write`` is a method of the call, which gets the database, the count of the parts and the progress.
    """
    before = stored = call.output_count
    lines = output.lines
    try:
        with transaction.atomic(using=using):
            outputs = CallOutput.objects.using(using)
            if output.unsure_count and outputs.filter(call_id=call.pk, number=before + 1).exists():
                stored += len(list(_parts(lines[: output.unsure_count])))
                lines = lines[output.unsure_count :]
            parts = list(_parts(lines))
            is_written = write(using=using, output_count=stored + len(parts), **output.progress)
            for number, part in enumerate(parts if is_written else (), start=stored + 1):
                statements.insert(CallOutput(call_id=call.pk, number=number, lines=part), using=using)
    except BaseException:
        call.output_count = before
        raise
    return is_written


def _parts(lines: list[list[str]]) -> Iterator[list[list[str]]]:
    """Divide lines into parts that every database accepts; the same lines always make the same parts."""
    part: list[list[str]] = []
    character_count = 0
    for stream, line in lines:
        if part and character_count + len(line) > _MAX_PART_CHARACTERS:
            yield part
            part, character_count = [], 0
        part.append([stream, line])
        character_count += len(line) + _PER_LINE
    if part:
        yield part
