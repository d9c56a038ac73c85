"""Connects the answers with the files of a project: open ones first, then those on the disk."""

from __future__ import annotations

import zoneinfo
from collections.abc import Callable, Collection
from pathlib import Path

from django.db import connections

from django_runbook import conf, lookup
from django_runbook.binding.catalog import Catalog
from django_runbook.document.syntax.source import Source
from django_runbook.document.validation.called_runbooks import RefusedRunbook
from django_runbook.language_server.workspace.editor_files import EditorFiles
from django_runbook.language_server.workspace.project import Project


def new_project(configuration: conf.Configuration, files: Callable[[], EditorFiles], *, catalog: Catalog) -> Project:
    """Make the project of this process; ``files`` returns the files that are open now."""

    def list_runbooks(caller: Path) -> Collection[str]:
        others = (
            path for path in (*lookup.find_all(configuration), *_beside(caller)) if path.resolve() != caller.resolve()
        )
        return sorted({_name_for(path, caller, configuration) for path in others})

    def find_runbook(name: str, caller: Path) -> Path | None:
        found = lookup.find_beside(name, str(caller), configuration, files=files().files)
        return None if isinstance(found, RefusedRunbook) else found[0]

    def read(path: Path) -> Source | None:
        text, problems = files().read(path, str(path))
        return None if problems else text

    return Project(
        catalog=catalog,
        databases=tuple(connections),
        list_runbooks=list_runbooks,
        find_runbook=find_runbook,
        read=read,
        values={
            "notify": lambda: [reporter.name for reporter in configuration.reporters],
            "timezone": lambda: sorted(zoneinfo.available_timezones()),
        },
    )


def _beside(caller: Path) -> list[Path]:
    return [path for suffix in lookup.SUFFIXES for path in sorted(caller.parent.glob(f"*{suffix}"))]


def _name_for(path: Path, caller: Path, configuration: conf.Configuration) -> str:
    absolute, folder = path.resolve(), caller.parent.resolve()
    if absolute.is_relative_to(folder):
        return absolute.relative_to(folder).as_posix()
    return lookup.key_of(path, configuration)
