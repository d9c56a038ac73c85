"""Identifies each diagnostic by its code and its line, so that a tool knows it again after lines above have changed."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from django_runbook.document.diagnostics import Diagnostic
from django_runbook.structs import Struct, replace


class CheckedFile(Struct):
    """Holds the diagnostics of a file and of the runbooks that it calls; ``lines`` maps each path to its lines."""

    path: str
    diagnostics: Sequence[Diagnostic]
    lines: Mapping[str, Sequence[str]]


class IdentifiedDiagnostic(Struct):
    """Holds a diagnostic with the path of its file; ``fingerprint`` is unique in that file."""

    path: str
    diagnostic: Diagnostic
    fingerprint: str


def identify(files: Iterable[CheckedFile]) -> Iterator[IdentifiedDiagnostic]:
    """Yield each diagnostic once, also if several files call the same runbook."""
    seen: set[tuple[str, Diagnostic]] = set()
    counts = Counter[str]()
    for file in files:
        for item in file.diagnostics:
            path = item.path or file.path
            place = (path, _without_path(item))
            if place in seen:
                continue
            seen.add(place)
            digest = _digest(item, file.lines.get(path, ()))
            counts[path + digest] += 1
            yield IdentifiedDiagnostic(path=path, diagnostic=item, fingerprint=f"{digest}:{counts[path + digest]}")


def _without_path(item: Diagnostic) -> Diagnostic:
    return replace(item, path="")


def _digest(item: Diagnostic, lines: Sequence[str]) -> str:
    line = lines[item.span.line - 1] if item.span.line <= len(lines) else ""
    text = f"{item.code}\n{' '.join(line.split())}"
    return hashlib.sha256(text.encode(errors="backslashreplace")).hexdigest()[:16]
