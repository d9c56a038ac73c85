"""The names of runbooks that runbooks name to their texts, each file read once, and none inside of itself."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from django_runbook.document import source as sources
from django_runbook.document.diagnostics import Diagnostic
from django_runbook.document.source import Source

if TYPE_CHECKING:
    from django_runbook.document.runbook import Runbook

# The name as it is written and the file that it stands in, to a file and how to call it, or to why there is none.
Find = Callable[[str, str], "tuple[Path, str] | RefusedInclude"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedInclude:
    """Why a runbook is not read, for a diagnostic at the place of its name."""

    message: str
    code: str = "RB213"
    help: str = ""


@dataclass(slots=True, kw_only=True)
class Included:
    """A file with its text; ``runbook`` is set when it has been read."""

    path: Path
    source: Source
    problems: list[Diagnostic]
    runbook: Runbook | None = None


def _find_nothing(name: str, caller: str) -> RefusedInclude:
    return RefusedInclude(message=f'the runbook "{name}" cannot be read from here')


@dataclass(slots=True, kw_only=True)
class Includes:
    """The files of one run or check; ``root`` is the one that was asked for.

    ``key_of`` gives the name that a file has in all releases, from how a person calls it.
    """

    find: Find = _find_nothing
    key_of: Callable[[str], str] = str
    root: Path | None = None
    _files: dict[Path, Included] = field(default_factory=dict)
    _open: list[Path] = field(default_factory=list)

    @property
    def sources(self) -> dict[str, Source]:
        """The texts by the path that diagnostics name."""
        return {included.source.path: included.source for included in self._files.values()}

    def open(self, name: str, *, caller: str) -> Included | RefusedInclude:
        """The file of this name, seen from the file at ``caller``."""
        found = self.find(name, caller)
        if isinstance(found, RefusedInclude):
            return found
        path, label = found
        resolved = path.resolve()
        chain = [*((self.root.resolve(),) if self.root is not None else ()), *self._open]
        if resolved in chain:
            names = " → ".join(file.name for file in (*chain[chain.index(resolved) :], resolved))
            return RefusedInclude(code="RB214", message=f"the runbook leads back to itself: {names}")
        if resolved not in self._files:
            text, problems = sources.read(path, name=label)
            self._files[resolved] = Included(path=resolved, source=text, problems=problems)
        return self._files[resolved]

    @contextlib.contextmanager
    def inside(self, included: Included) -> Iterator[None]:
        """While the file is read: what it names must not lead back to it."""
        self._open.append(included.path)
        try:
            yield
        finally:
            self._open.pop()
