"""Keeps the row of a running call up to date, and reads the stop requests in it, from a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Any, Final, Self

from django.db import Error, connections, transaction

from django_runbook.calls import Call, CallOutput, CallStatus, StopLevel
from django_runbook.fields import to_db_text
from django_runbook.queues.call_halt import CallHalt

_INTERVAL_SECONDS: Final = 1.0
# A command that writes faster than the database waits for it, so that its output does not fill the memory.
_MAX_WAITING_CHARACTERS: Final = 4 * 1024 * 1024
_EARLY_CHARACTERS: Final = 256 * 1024


class CallWatcher:
    """Stores the output and the progress of a call about once a second; as a context manager, runs its thread."""

    def __init__(self, *, call: Call, halt: CallHalt, alias: str) -> None:
        self.is_committing = False
        self._call = call
        self._halt = halt
        self._alias = alias
        self._lines: list[list[str]] = []
        self._character_count = 0
        self._progress: dict[str, Any] = {}
        self._guard = threading.Condition()
        self._is_over = False

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._watch, name="runbook-call", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        with self._guard:
            self._is_over = True
            self._guard.notify_all()
        self._thread.join()

    def write_line(self, stream: str, line: str) -> None:
        """Keep a line until the next write; wait while too many are kept."""
        if self._call.is_hidden:
            return
        with self._guard:
            self._guard.wait_for(lambda: self._character_count < _MAX_WAITING_CHARACTERS or self._is_over)
            self._lines.append([stream, to_db_text(line)])
            self._character_count += len(line) + 1
            if self._character_count > _EARLY_CHARACTERS:
                self._guard.notify_all()

    def report_progress(self, done_count: int, total_count: int | None, failed_count: int, /) -> None:
        """Keep the progress until the next write."""
        progress = {"done_count": done_count, "total_count": total_count, "failed_count": failed_count}
        with self._guard:
            self._progress = progress

    def take_lines(self) -> list[list[str]]:
        """Return the lines that are not stored yet."""
        with self._guard:
            lines, self._lines, self._character_count = self._lines, [], 0
            self._guard.notify_all()
        return lines

    def _watch(self) -> None:
        try:
            while not self._is_over:
                with self._guard:
                    self._guard.wait_for(
                        lambda: self._is_over or self._character_count > _EARLY_CHARACTERS, timeout=_INTERVAL_SECONDS
                    )
                if not self._is_over:
                    self._update()
        finally:
            connections.close_all()

    def _update(self) -> None:
        """Write what is new, and read the stop requests; a database that is away is tried again the next time."""
        lines, progress = self.take_lines(), self._take_progress()
        try:
            if lines or progress:
                note = partial(self._call.note, **progress)
                self._halt.was_claim_lost = not write_with_output(self._call, lines, note, using=self._alias)
            self._read_requests()
        except Error:
            with self._guard:
                self._lines[:0] = lines
                self._character_count += sum(len(line) + 1 for _, line in lines)
                self._progress = self._progress or progress
            connections[self._alias].close()

    def _take_progress(self) -> dict[str, Any]:
        with self._guard:
            progress, self._progress = self._progress, {}
        return progress

    def _read_requests(self) -> None:
        names = ("claim", "status", "stop_level", "is_releasing")
        row = Call.objects.using(self._alias).filter(pk=self._call.pk).values(*names).first()
        if row is None or row["claim"] != self._call.claim:
            self._halt.was_claim_lost = True
        elif row["status"] != CallStatus.RUNNING:
            self._halt.was_claim_lost = not self.is_committing
        else:
            self._halt.level = StopLevel(row["stop_level"])
            self._halt.is_shutting_down = row["is_releasing"]


def write_with_output(call: Call, lines: list[list[str]], write: Callable[..., bool], *, using: str) -> bool:
    """Write to the row of a call, and insert a part of its output; return False if this worker lost its claim.

    ``write`` is a method of the call, which gets the database and the count of the parts.
    """
    changes = {"output_count": call.output_count + 1} if lines else {}
    with transaction.atomic(using=using):
        is_written = write(using=using, **changes)
        if is_written and lines:
            CallOutput.objects.using(using).create(call_id=call.pk, number=call.output_count, lines=lines)
    return is_written
