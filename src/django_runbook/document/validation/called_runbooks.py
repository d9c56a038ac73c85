"""Loads called runbooks, each file once, and rejects runbooks that call themselves."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from django_runbook.document.diagnostics import Diagnostic
from django_runbook.document.syntax import source as sources
from django_runbook.document.syntax.source import Source
from django_runbook.structs import MutableStruct, Struct, field

if TYPE_CHECKING:
    from django_runbook.document.runbook import Runbook

# Called with the name as written and the calling file; returns the called file and its label, or the refusal.
Find = Callable[[str, str], "tuple[Path, str] | RefusedRunbook"]
# Called with a file and its label.
Read = Callable[[Path, str], tuple[Source, list[Diagnostic]]]


class RefusedRunbook(Struct):
    """Describes why a runbook cannot be called, for a diagnostic at its name."""

    message: str
    code: str = "RB213"
    help: str = ""


class CalledRunbook(MutableStruct):
    """Holds a file and its source; ``runbook`` is set once it has been read."""

    path: Path
    source: Source
    problems: list[Diagnostic]
    runbook: Runbook | None = None


def _find_nothing(name: str, caller: str) -> RefusedRunbook:
    return RefusedRunbook(message=f'the runbook "{name}" cannot be read from here')


def read_from_disk(path: Path, name: str) -> tuple[Source, list[Diagnostic]]:
    """Read a file as it is now."""
    return sources.read(path, name=name)


class CalledRunbooks(MutableStruct):
    """Loads the files of one run or check, whose main file is ``root``.

    ``read`` reads a file, whose label is its second argument. ``key_of`` maps the label of a file to the name that it
    keeps in all releases.
    """

    find: Find = _find_nothing
    read: Read = read_from_disk
    key_of: Callable[[str], str] = str
    root: Path | None = None
    _files: dict[Path, CalledRunbook] = field(default_factory=dict)
    _open: list[Path] = field(default_factory=list)

    @property
    def sources(self) -> dict[str, Source]:
        """Return the sources by the paths that diagnostics name."""
        return {called.source.path: called.source for called in self._files.values()}

    def open(self, name: str, *, caller: str) -> CalledRunbook | RefusedRunbook:
        """Load the file that the runbook at ``caller`` calls by this name."""
        found = self.find(name, caller)
        if isinstance(found, RefusedRunbook):
            return found
        path, label = found
        resolved = path.resolve()
        chain = [*((self.root.resolve(),) if self.root is not None else ()), *self._open]
        if resolved in chain:
            names = " → ".join(file.name for file in (*chain[chain.index(resolved) :], resolved))
            return RefusedRunbook(code="RB214", message=f"the runbook calls itself: {names}")
        if resolved not in self._files:
            text, problems = self.read(path, label)
            self._files[resolved] = CalledRunbook(path=resolved, source=text, problems=problems)
        return self._files[resolved]

    @contextlib.contextmanager
    def inside(self, called: CalledRunbook) -> Iterator[None]:
        """Mark the file as being read, so that it cannot be called again inside itself."""
        self._open.append(called.path)
        try:
            yield
        finally:
            self._open.pop()
