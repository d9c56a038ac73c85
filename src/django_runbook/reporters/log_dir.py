"""Events to one file for each command, with all that it wrote, as it comes."""

from __future__ import annotations

import contextlib
import datetime
import os
import re
from pathlib import Path
from typing import IO, Final

from django_runbook import events
from django_runbook.events import Event
from django_runbook.reporters import texts
from django_runbook.reporters.files import PrivateFolder
from django_runbook.results import StepResult

_UNSAFE: Final = re.compile(r"[^A-Za-z0-9_-]+")
_MAX_NAME: Final = 100
# Lines that the command did not write.
_OURS: Final = "=== "


class LogDirReporter:
    """Writes ``<start>-<run id>/<number>-<step id>.log``; the number, in order of start, makes each name unique.

    Secrets are masked already, but what a command writes is for its operators: only the own user can read it.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._folder: PrivateFolder | None = None
        self._names: dict[str, str] = {}
        self._files: dict[str, IO[str]] = {}

    def __call__(self, event: Event) -> None:
        match event:
            case events.RunStarted():
                self._begin(event)
            case events.StepStarted() if event.argv is not None:
                self._start(event, event.argv)
            case events.StepOutputWritten():
                self._write(event.step_id, event.line)
            case events.AttemptFailed():
                pause = texts.duration(event.delay_seconds)
                self._write(event.step_id, f"{_OURS}{_time(event.at)} {texts.attempt(event)}; next in {pause}")
            case events.StepFinished():
                self._finish(event.result.step_id, f"{_time(event.at)} {_ending(event.result)}")

    def close(self) -> None:
        """Close what is open, which is the output of steps without a result."""
        files, self._files = self._files, {}
        folder, self._folder = self._folder, None
        with contextlib.ExitStack() as closing:
            if folder is not None:
                closing.callback(folder.close)
            # All of them are closed, also where the disk is full and nothing can be written any more.
            for file in files.values():
                closing.enter_context(file)
            for file in files.values():
                file.write(f"{_OURS}cut off\n")

    def _begin(self, event: events.RunStarted) -> None:
        started = event.at.astimezone(datetime.UTC).strftime("%Y%m%dT%H%M%SZ")
        self._folder = PrivateFolder(self._directory / f"{started}-{_safe(event.run_id)}")

    def _start(self, event: events.StepStarted, argv: tuple[str, ...]) -> None:
        if self._folder is None:
            return
        # A step of a group that is tried again goes on in its own file.
        name = self._names.get(event.step_id)
        if name is None:
            name = self._names[event.step_id] = f"{len(self._names) + 1:03}-{_safe(event.step_id)}.log"
            descriptor = self._folder.open_new(name)
        else:
            descriptor = self._folder.open_again(name)
        self._files[event.step_id] = os.fdopen(
            descriptor, "a", buffering=1, encoding="utf-8", errors="backslashreplace", newline="\n"
        )
        self._write(event.step_id, f"{_OURS}{_time(event.at)} {' '.join(argv)}")

    def _write(self, step_id: str, line: str) -> None:
        if file := self._files.get(step_id):
            file.write(line + "\n")

    def _finish(self, step_id: str, ending: str) -> None:
        self._write(step_id, f"{_OURS}{ending}")
        if file := self._files.pop(step_id, None):
            file.close()


def _ending(result: StepResult) -> str:
    note = texts.note(result)
    return f"{texts.status(result)} in {texts.duration(result.duration_seconds)}{': ' if note else ''}{note}"


def _time(at: datetime.datetime) -> str:
    return at.astimezone(datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _safe(name: str) -> str:
    """What is left of a name that can be a part of the name of a file: ``weekly/import[2]`` is ``weekly-import-2``."""
    return _UNSAFE.sub("-", name).strip("-")[:_MAX_NAME]


def build(directory: str | os.PathLike[str]) -> LogDirReporter:
    """A listener that writes into this directory."""
    return LogDirReporter(Path(directory))
