"""Puts together what the checks of several open files say about one file, which more than one may include."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from django_runbook.document.diagnostics import Diagnostic, in_order
from django_runbook.structs import MutableStruct, field, replace


class PublishedProblems(MutableStruct):
    """Holds the diagnostics of each file by the open file whose check has found them."""

    _found: dict[Path, Mapping[Path, list[Diagnostic]]] = field(default_factory=dict)

    def put(self, root: Path, found: Mapping[Path, list[Diagnostic]]) -> dict[Path, list[Diagnostic]]:
        """Replace what the check of an open file has found; return all diagnostics of each file that this concerns.

        The open file is the last one: an editor that has its diagnostics has them all.
        """
        targets = [*dict.fromkeys(path for path in (*self._found.get(root, ()), *found) if path != root), root]
        self._found[root] = found
        if not found:
            del self._found[root]
        return {target: self._all_of(target) for target in targets}

    def readers_of(self, path: Path) -> list[Path]:
        """Return the open files whose check reads a file."""
        return [root for root, found in self._found.items() if path in found]

    def _all_of(self, target: Path) -> list[Diagnostic]:
        several = [item for found in self._found.values() for item in found.get(target, ())]
        # The path says only through which file it was found.
        return in_order(replace(item, path="") for item in several)
