"""Checks a file that is open in an editor, together with the runbooks that it calls."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from django_runbook import checking, conf, lookup
from django_runbook.binding.catalog import Catalog
from django_runbook.document.diagnostics import Diagnostic
from django_runbook.language_server.workspace.editor_files import EditorFiles
from django_runbook.structs import Struct


class FileProblems(Struct):
    """Holds the diagnostics of each file that was read, by its path; a file without errors has none."""

    found: Mapping[Path, list[Diagnostic]]


def check_file(
    path: Path, open_files: EditorFiles, *, catalog: Catalog, configuration: conf.Configuration
) -> FileProblems:
    """Check a file as ``check_runbooks`` does, with the texts of open files."""
    binder = checking.new_binder(is_recorded=configuration.has_journal, catalog=catalog)
    checked = checking.check(path, binder=binder, configuration=configuration, files=open_files.files)
    found: dict[Path, list[Diagnostic]] = {Path(label).resolve(): [] for label in checked.lines}
    found[path.resolve()] = []
    for item in checked.diagnostics:
        found.setdefault(Path(item.path or checked.path).resolve(), []).append(item)
    return FileProblems(found=found)


def is_runbook(path: Path, language: str, configuration: conf.Configuration) -> bool:
    """Return whether an open file is a runbook: other YAML files belong to other tools."""
    return "runbook" in language or "runbooks" in path.parts or lookup.is_of_project(path.resolve(), configuration)
