"""Finds the runbook of a recorded run, and those that it calls, as they were when the run began."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from django_runbook import checking, lookup
from django_runbook.cleaning import Mask
from django_runbook.conf import Configuration
from django_runbook.document import inputs
from django_runbook.document.codes import Severity
from django_runbook.document.diagnostics import Diagnostic
from django_runbook.document.syntax.source import Source
from django_runbook.exceptions import InvalidUsage
from django_runbook.lookup import ON_DISK, Files
from django_runbook.models import Run
from django_runbook.process.masking import masker
from django_runbook.structs import Struct


class RunFile(Struct):
    """Holds the text of a runbook; ``note`` says whether the run read the same one."""

    path: str
    text: str
    note: str


class RunFiles(Struct):
    """Holds the runbooks of a run, and the mask of the secrets that they declare; ``note`` says what is missing."""

    files: tuple[RunFile, ...]
    mask: Mask
    note: str = ""


class _Origin(Struct):
    path: Path
    files: Files
    note: str
    included_note: str


def files_of_run(run: Run, configuration: Configuration) -> RunFiles:
    """Find the files of a run: those on disk, or those of its commit if the runbook has changed since."""
    origin = _origin(run, configuration)
    if origin is None:
        return RunFiles(files=(), mask=str, note=f'the runbook "{run.file}" does not exist any more')
    read: dict[str, str] = {}

    def reading(path: Path, name: str) -> tuple[Source, list[Diagnostic]]:
        source, problems = origin.files.read(path, name)
        read[source.path] = source.text
        return source, problems

    files = Files(exists=origin.files.exists, read=reading)
    loaded = checking.load(origin.path, name=lookup.label(origin.path), configuration=configuration, files=files)
    secrets = () if loaded.runbook is None else inputs.secrets_of(loaded.runbook, os.environ).values()
    is_invalid = any(found.severity is Severity.ERROR for found in loaded.diagnostics)
    note = "the runbook is invalid, so the secrets that it names may be unknown" if is_invalid else ""
    found = tuple(
        RunFile(path=path, text=text, note=origin.note if path == loaded.path else origin.included_note)
        for path, text in read.items()
    )
    return RunFiles(files=found, mask=masker(secrets), note=note)


def _origin(run: Run, configuration: Configuration) -> _Origin | None:
    paths = list(_paths(run, configuration))
    for path in paths:
        if hashlib.sha256(path.read_bytes()).hexdigest() == run.file_hash:
            return _Origin(
                path=path,
                files=ON_DISK,
                note="unchanged since the run",
                included_note="as it is now; the history has no hash of it",
            )
    for path in paths:
        if (files := _committed(path, run)) is not None:
            note = f"as in the commit {run.git_commit[:12]} of the run"
            return _Origin(path=path, files=files, note=f"{note}; changed since", included_note=note)
    note = "as it is now; changed since the run"
    return next((_Origin(path=path, files=ON_DISK, note=note, included_note="as it is now") for path in paths), None)


def _paths(run: Run, configuration: Configuration) -> Iterator[Path]:
    for name in dict.fromkeys((run.file, run.runbook)):
        try:
            path, _ = lookup.find(name, configuration)
        except InvalidUsage:
            continue
        if path.is_file():
            yield path


def _committed(path: Path, run: Run) -> Files | None:
    """Return the files of the commit that the run recorded, if the runbook there is what the run read."""
    if not run.git_commit:
        return None
    # Only a runbook that has changed needs git.
    from django_runbook.reviews.git_files import files_of

    try:
        committed = files_of(run.git_commit, path.absolute().parent)
        if not committed.exists(path) or hashlib.sha256(committed.read_bytes(path)).hexdigest() != run.file_hash:
            return None
    except InvalidUsage:
        return None
    return Files(exists=committed.exists, read=committed.read)
