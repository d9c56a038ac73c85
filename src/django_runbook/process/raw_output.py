"""Captures output that bypasses Python's streams: that of subprocesses and of C code."""

from __future__ import annotations

import codecs
import contextlib
import os
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping
from typing import IO, Any, Final

from django_runbook.cleaning import Mask
from django_runbook.process import unpatched
from django_runbook.process.files import identity
from django_runbook.process.streams import LineSplitter, StreamToLines, TooMuchOutputError

_CHUNK: Final = 64 * 1024
# At its end, a step reads no more than this from a process that never stops writing.
_MAX_CHUNKS: Final = 64
_STANDARD: Final = (1, 2)


class RawOutput:
    """Connects the descriptors 1 and 2 to pipes during calls in this process, and passes on their output.

    Output that a process writes after its step has ended goes to ``late``, masked.
    """

    def __init__(self, *, late: IO[str], mask: Mask, copies: Mapping[int, int] | None = None) -> None:
        self.late = late
        # The run writes to these copies of the standard descriptors, past the pipes.
        self._copies = {copy: (number, identity(copy)) for copy, number in (copies or {}).items()}
        self._lines = LineSplitter(mask)
        self._pid = os.getpid()
        self._streams: dict[int, StreamToLines] = {}
        self._ends: dict[int, tuple[int, int]] = {}
        self._decoders: dict[int, codecs.IncrementalDecoder] = {}
        self._lock = threading.Lock()
        self._wake: tuple[int, int] | None = None
        # Used under the lock only: another thread cannot poll at the same time.
        self._waiting: Any = None
        self._thread: unpatched.Thread | None = None
        self._noted: dict[int, object] = {}
        self._saved: tuple[int, ...] = ()

    @property
    def errors(self) -> int:
        """Return the descriptor of the original standard error."""
        return self.late.fileno()

    @property
    def descriptors(self) -> tuple[int, ...]:
        """Return the descriptors of the pipes, which a command must leave open."""
        return (*self._noted, *self._copies)

    @property
    def copies(self) -> tuple[int, ...]:
        """Return the descriptors of the original streams, which cannot be restored if a command closes them."""
        return (*self._copies, *self._saved)

    def restore(self) -> None:
        """Copy the standard descriptors again, if a command has closed or replaced the copies."""
        for copy, (number, file) in self._copies.items():
            if identity(copy) != file:
                os.dup2(number, copy, inheritable=False)

    @contextlib.contextmanager
    def passed_to(self, out: StreamToLines, err: StreamToLines) -> Iterator[None]:
        """Pass the output of a call to its streams, in the order in which it was written."""
        if self._thread is None or not self._is_intact():
            self._start()
        _flush()
        saved = {number: (copy := os.dup(number), identity(copy)) for number in _STANDARD}
        self._saved = tuple(copy for copy, _ in saved.values())
        with self._lock:
            self._streams = {1: out, 2: err}
        for stream in (out, err):
            stream.before_write = self.pump
        for number in _STANDARD:
            os.dup2(self._ends[number][1], number)
        try:
            yield
        finally:
            # A process that the command forked has nothing to restore.
            if os.getpid() == self._pid:
                self._end_call(saved)

    def _end_call(self, saved: Mapping[int, tuple[int, object]]) -> None:
        _flush()
        for number, (copy, file) in saved.items():
            # The command may have closed it, and the number may belong to another file now.
            if identity(copy) == file:
                os.dup2(copy, number)
                os.close(copy)
        with self._lock:
            self._read_all()
            for number, decoder in self._decoders.items():
                self._pass_on(number, decoder.decode(b"", final=True))
            self._streams = {}

    def pump(self) -> bool:
        """Pass on waiting output, before anything else is written; return whether this is the process of the run."""
        if os.getpid() != self._pid:
            return False
        # If the thread holds the lock, it is passing the output on.
        if self._lock.acquire(blocking=False):
            try:
                # One call instead of eight: most lines are written while nothing waits.
                if self._waiting is not None and self._waiting.poll(0):
                    self._read_all()
            finally:
                self._lock.release()
        return True

    def close(self) -> None:
        """End the thread, and write the remaining output."""
        if self._thread is None or self._wake is None or os.getpid() != self._pid:
            return
        if self._is_intact():
            os.write(self._wake[1], b"!")
        self._thread.join()
        for line in self._lines.finish():
            self._write_late(line)
        # A stream of an earlier step may still call `pump`.
        self._ends = {}
        for descriptor, file in self._noted.items():
            if identity(descriptor) == file:
                os.close(descriptor)

    def _start(self) -> None:
        for number in _STANDARD:
            self._ends[number] = os.pipe()
            os.set_blocking(self._ends[number][0], False)
            self._decoders[number] = codecs.getincrementaldecoder("utf-8")("replace")
        self._wake = os.pipe()
        self._waiting = _poll_of(self._ends[number][0] for number in _STANDARD)
        descriptors = (*self._wake, *(end for ends in self._ends.values() for end in ends))
        self._noted = {descriptor: identity(descriptor) for descriptor in descriptors}
        self._thread = unpatched.start_thread(self._listen, name="runbook-output")

    def _listen(self) -> None:
        assert self._wake is not None
        noted = self._noted
        poll = _poll_of((self._wake[0], *(self._ends[number][0] for number in _STANDARD)))
        while True:
            ready = {descriptor for descriptor, _ in poll.poll()}
            # A command has closed the pipes: the next call gets new pipes and a new thread.
            if self._noted is not noted or not self._is_intact():
                return
            with self._lock:
                self._read_all()
            if self._wake[0] in ready:
                return

    def _is_intact(self) -> bool:
        return all(identity(descriptor) == file for descriptor, file in self._noted.items())

    def _read_all(self) -> None:
        if not self._is_intact():
            return
        for number, (end, _) in self._ends.items():
            for _ in range(_MAX_CHUNKS):
                try:
                    data = os.read(end, _CHUNK)
                except OSError:
                    # The pipe is empty, or the command has closed it.
                    break
                self._pass_on(number, self._decoders[number].decode(data))

    def _pass_on(self, number: int, text: str) -> None:
        if not text:
            return
        stream = self._streams.get(number)
        if stream is not None:
            # The step fails later, when its command returns.
            with contextlib.suppress(TooMuchOutputError):
                stream.write(text)
            return
        for line in self._lines.feed(text):
            self._write_late(line)

    def _write_late(self, line: str) -> None:
        with contextlib.suppress(OSError, ValueError):
            self.late.write(f"{line}\n")
            self.late.flush()


def _poll_of(descriptors: Iterable[int]) -> Any:
    poll = unpatched.original("select", "poll")()
    for descriptor in descriptors:
        # POLLIN; the default would include urgent data.
        poll.register(descriptor, 1)
    return poll


def copy_of(stream: Any) -> IO[str] | None:
    """Return a second stream to the same target; None if it is not a standard stream of this process."""
    try:
        number = stream.fileno()
        if number not in _STANDARD:
            return None
        stream.flush()
        return os.fdopen(os.dup(number), "w", encoding=stream.encoding, errors=stream.errors, buffering=1)
    except (OSError, ValueError, AttributeError):
        return None


def _flush() -> None:
    for stream in (sys.__stdout__, sys.__stderr__):
        with contextlib.suppress(OSError, ValueError):
            if stream is not None:
                stream.flush()
