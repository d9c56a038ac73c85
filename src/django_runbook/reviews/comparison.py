"""Compares two versions of a runbook: reads both, plans both, and finds what the change means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from django_runbook import conf, lookup
from django_runbook.binding.binder import Binder
from django_runbook.checking import load, new_binder, plan_without_secrets
from django_runbook.document.diagnostics import Diagnostic, in_order
from django_runbook.exceptions import InvalidUsage
from django_runbook.lookup import ON_DISK, Files
from django_runbook.planning.plan import Plan
from django_runbook.reviews.git_files import files_of
from django_runbook.reviews.plan_changes import PlanChanges, compare
from django_runbook.structs import Struct, field


class Version(Struct):
    """Holds one version of a runbook; ``plan`` is None if it does not exist or cannot be read."""

    path: str
    plan: Plan | None = None
    diagnostics: tuple[Diagnostic, ...] = ()
    lines: Mapping[str, Sequence[str]] = field(default_factory=dict)


class Comparison(Struct):
    """Holds two versions of a runbook and the changes from one to the other."""

    before: Version
    after: Version
    changes: PlanChanges

    @property
    def path(self) -> str:
        return self.after.path or self.before.path


def compare_files(old: str, new: str, *, params: Mapping[str, str]) -> Comparison:
    """Compare two files; raise InvalidUsage if one does not exist."""
    reader = _new_reader(params)
    before, after = (lookup.find(name, reader.configuration)[0] for name in (old, new))
    return reader.compare(before, after, old_files=ON_DISK)


def compare_with_commit(name: str, reference: str, *, params: Mapping[str, str]) -> Comparison:
    """Compare a file with its version in a commit of git; raise InvalidUsage if neither exists."""
    reader = _new_reader(params)
    try:
        path = lookup.find(name, reader.configuration)[0]
    except InvalidUsage:
        path = Path(name)
        if not _in_commit(reference, path.absolute().parent).exists(path):
            raise
    return reader.compare(path, path, old_files=_in_commit(reference, path.absolute().parent))


def compare_project(reference: str, *, params: Mapping[str, str]) -> list[Comparison]:
    """Compare all runbooks of the project with a commit; return those that have changed, by their paths."""
    reader = _new_reader(params)
    found = files_of(reference, Path())
    in_commit = Files(exists=found.exists, read=found.read)
    old = (found.root / name for name in found.names)
    paths = {path for path in old if lookup.is_of_project(path, reader.configuration)}
    # A file outside of the repository has no earlier version.
    now = (path.resolve() for path in lookup.find_all(reader.configuration))
    paths |= {path for path in now if path.is_relative_to(found.root)}
    compared = (reader.compare(path, path, old_files=in_commit) for path in sorted(paths))
    return [one for one in compared if not one.changes.is_empty]


def _new_reader(params: Mapping[str, str]) -> _Reader:
    configuration = conf.read()
    binder = new_binder(is_recorded=configuration.has_journal)
    return _Reader(configuration=configuration, params=params, binder=binder)


def _in_commit(reference: str, folder: Path) -> Files:
    found = files_of(reference, folder)
    return Files(exists=found.exists, read=found.read)


class _Reader(Struct):
    configuration: conf.Configuration
    params: Mapping[str, str]
    binder: Binder

    def compare(self, before: Path, after: Path, *, old_files: Files) -> Comparison:
        old, new = self._version(before, old_files), self._version(after, ON_DISK)
        return Comparison(before=old, after=new, changes=compare(old.plan, new.plan))

    def _version(self, path: Path, files: Files) -> Version:
        if not files.exists(path):
            return Version(path="")
        loaded = load(path, name=lookup.label(path), configuration=self.configuration, files=files)
        if loaded.runbook is None:
            return Version(path=loaded.path, diagnostics=tuple(loaded.diagnostics), lines=loaded.lines)
        # A parameter may be new, or gone.
        declared = {param.name for param in loaded.runbook.params}
        params = {name: text for name, text in self.params.items() if name in declared}
        plan = plan_without_secrets(loaded.runbook, binder=self.binder, configuration=self.configuration, params=params)
        found = tuple(in_order([*loaded.diagnostics, *plan.diagnostics]))
        return Version(path=loaded.path, plan=plan, diagnostics=found, lines=loaded.lines)
