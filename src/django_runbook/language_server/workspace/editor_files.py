"""Holds the texts of open files, which replace those on the disk in every check."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from django_runbook.document.diagnostics import Diagnostic
from django_runbook.document.syntax import source as sources
from django_runbook.document.syntax.source import Source
from django_runbook.document.validation.called_runbooks import read_from_disk
from django_runbook.lookup import Files
from django_runbook.structs import Struct, field, replace


class EditorFiles(Struct):
    """Holds the text of each open file by its path, without links."""

    texts: Mapping[Path, str] = field(default_factory=dict)

    def opened(self, path: Path, text: str) -> EditorFiles:
        """Return these files with another text of one."""
        return replace(self, texts={**self.texts, path.resolve(): text})

    def closed(self, path: Path) -> EditorFiles:
        """Return these files without one."""
        return replace(self, texts={other: text for other, text in self.texts.items() if other != path.resolve()})

    @property
    def files(self) -> Files:
        return Files(exists=self._exists, read=self.read)

    def read(self, path: Path, name: str) -> tuple[Source, list[Diagnostic]]:
        """Read a file as the editor has it, or else from the disk."""
        text = self.texts.get(path.resolve())
        if text is None:
            return read_from_disk(path, name)
        return sources.decode(text.encode("utf-8", "surrogatepass"), name=name)

    def _exists(self, path: Path) -> bool:
        return path.resolve() in self.texts or os.path.lexists(path)
