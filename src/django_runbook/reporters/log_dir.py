"""Writes the output of each command to a file of its own while the command runs."""

from __future__ import annotations

import contextlib
import datetime
import os
import re
from io import FileIO
from pathlib import Path
from typing import Final

from django_runbook import events, wording
from django_runbook.events import Event
from django_runbook.reporters import phrases
from django_runbook.reporters.private_files import PrivateDirectory
from django_runbook.results import StepResult

_UNSAFE: Final = re.compile(r"[^A-Za-z0-9_-]+")
_MAX_NAME: Final = 100
# Marks lines that the command did not write.
_MARK: Final = "=== "


class LogDirReporter:
    """Writes ``<start>-<run id>/<number>-<step id>.log``; numbers follow the order of start and make names unique.

    Secrets are masked already, but output is meant for the operators only, so no other user can read the files.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._folder: PrivateDirectory | None = None
        self._names: dict[str, str] = {}
        self._files: dict[str, FileIO] = {}

    def __call__(self, event: Event) -> None:
        match event:
            # The most frequent one.
            case events.StepOutputWritten():
                self._write(event.step_id, event.line)
            case events.RunStarted():
                self._begin(event)
            case events.StepStarted() if event.argv is not None:
                self._start(event, event.argv)
            case events.StepQueued():
                self._write(event.step_id, f"{_MARK}{_time(event.at)} queued {phrases.queued(event)}")
            case events.StepClaimed():
                self._write(event.step_id, f"{_MARK}{_time(event.at)} claimed {phrases.claimed(event)}")
            case events.UnusualNoticed():
                self._write(event.step_id, f"{_MARK}{_time(event.at)} unusual: {event.text}")
            case events.AttemptFailed():
                pause = wording.short_duration(event.delay_seconds)
                self._write(event.step_id, f"{_MARK}{_time(event.at)} {phrases.attempt(event)}; next in {pause}")
            case events.StepFinished():
                self._finish(event.result.step_id, f"{_time(event.at)} {_ending(event.result)}")

    def close(self) -> None:
        """Close the open files, which belong to steps without a result."""
        files, self._files = self._files, {}
        folder, self._folder = self._folder, None
        with contextlib.ExitStack() as closing:
            if folder is not None:
                closing.callback(folder.close)
            # All files are closed even if the disk is full and the last line cannot be written.
            for file in files.values():
                closing.enter_context(file)
            for file in files.values():
                _write_line(file, f"{_MARK}interrupted")

    def _begin(self, event: events.RunStarted) -> None:
        started = event.at.astimezone(datetime.UTC).strftime("%Y%m%dT%H%M%SZ")
        self._folder = PrivateDirectory(self._directory / f"{started}-{_safe(event.run_id)}")

    def _start(self, event: events.StepStarted, argv: tuple[str, ...]) -> None:
        if self._folder is None:
            return
        # A step of a retried group appends to its file.
        name = self._names.get(event.step_id)
        if name is None:
            name = self._names[event.step_id] = f"{len(self._names) + 1:03}-{_safe(event.step_id)}.log"
            descriptor = self._folder.open_new(name)
        else:
            descriptor = self._folder.open_again(name)
        # Each line is written at once, for readers that follow the file; a text stream takes twice as long for that.
        self._files[event.step_id] = FileIO(descriptor, "a")
        self._write(event.step_id, f"{_MARK}{_time(event.at)} {' '.join(argv)}")

    def _write(self, step_id: str, line: str) -> None:
        if file := self._files.get(step_id):
            _write_line(file, line)

    def _finish(self, step_id: str, ending: str) -> None:
        self._write(step_id, f"{_MARK}{ending}")
        if file := self._files.pop(step_id, None):
            file.close()


def _write_line(file: FileIO, line: str) -> None:
    data = f"{line}\n".encode(errors="backslashreplace")
    written = file.write(data)
    # A disk that is nearly full takes a part, and refuses the rest.
    while written < len(data):
        written += file.write(data[written:])


def _ending(result: StepResult) -> str:
    note = phrases.note(result)
    return f"{phrases.status(result)} in {wording.short_duration(result.duration_seconds)}{': ' if note else ''}{note}"


def _time(at: datetime.datetime) -> str:
    return at.astimezone(datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _safe(name: str) -> str:
    # `weekly/import[2]` becomes `weekly-import-2`.
    return _UNSAFE.sub("-", name).strip("-")[:_MAX_NAME]


def build(directory: str | os.PathLike[str]) -> LogDirReporter:
    """Create a reporter that writes to this directory."""
    return LogDirReporter(Path(directory))
