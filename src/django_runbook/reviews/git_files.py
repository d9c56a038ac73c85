"""Reads the files of a commit, so that a runbook can be compared with its earlier version."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Final

from django_runbook.document.diagnostics import Diagnostic
from django_runbook.document.syntax import source
from django_runbook.document.syntax.source import Source
from django_runbook.exceptions import InvalidUsage
from django_runbook.structs import Struct

_SECONDS: Final = 30.0


class GitFiles(Struct):
    """Holds the names of the files of a commit; reads each one when it is needed."""

    root: Path
    commit: str
    names: frozenset[str]

    def exists(self, path: Path) -> bool:
        """Return whether the commit has the file."""
        return self._name_of(path) in self.names

    def read(self, path: Path, name: str) -> tuple[Source, list[Diagnostic]]:
        """Read the file as it is in the commit; ``name`` is the path that the user knows."""
        return source.decode(self.read_bytes(path), name=name)

    def read_bytes(self, path: Path) -> bytes:
        """Return the content of the file in the commit."""
        return _git(self.root, "cat-file", "blob", f"{self.commit}:{self._name_of(path)}")

    def _name_of(self, path: Path) -> str:
        absolute = path.absolute()
        # The folder is resolved, not the file: a link is a file of its own in a commit.
        placed = absolute.parent.resolve() / absolute.name
        return placed.relative_to(self.root).as_posix() if placed.is_relative_to(self.root) else ""


def files_of(reference: str, folder: Path) -> GitFiles:
    """Return the files of a commit in the repository around a folder; raise InvalidUsage if there is none."""
    root = Path(_git(folder, "rev-parse", "--show-toplevel").decode().removesuffix("\n"))
    try:
        commit = _git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{reference}^{{commit}}").decode()
    except InvalidUsage as error:
        raise InvalidUsage(f'git has no commit "{reference}"') from error
    listed = _git(root, "ls-tree", "-r", "-z", "--name-only", commit.strip())
    names = frozenset(name.decode(errors="surrogateescape") for name in listed.split(b"\0") if name)
    return GitFiles(root=root.resolve(), commit=commit.strip(), names=names)


def _git(folder: Path, *words: str) -> bytes:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *words],
            capture_output=True,
            timeout=_SECONDS,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except FileNotFoundError as error:
        raise InvalidUsage("git is not installed") from error
    except subprocess.TimeoutExpired as error:
        raise InvalidUsage(f"git {words[0]} took longer than {_SECONDS:g}s") from error
    if done.returncode:
        raise InvalidUsage(f"git {words[0]}: {done.stderr.decode(errors='replace').strip() or 'failed'}")
    return done.stdout
