"""Holds what an answer needs to know about the project: its commands, its databases and its runbooks."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import cached_property
from pathlib import Path

from django_runbook.binding.catalog import BrokenCommandError, Catalog, CommandSpec
from django_runbook.document.syntax.source import Source
from django_runbook.editor.command_schemas import DescribedCommand, describe_command
from django_runbook.editor.project_schema import generic_schema
from django_runbook.language_server.cursor.schema_walk import SchemaWalk
from django_runbook.structs import MutableStruct, field


class Project(MutableStruct, dict=True):
    """Loads each command when it is asked about for the first time.

    ``list_runbooks`` returns the names by which the runbook at a path can call others, and ``find_runbook`` the file
    that it means by a name. ``read`` reads a file; None if that is impossible. ``values`` lists the values of
    keys that depend on the project.
    """

    catalog: Catalog
    databases: Collection[str] = ()
    list_runbooks: Callable[[Path], Collection[str]] = lambda path: ()
    find_runbook: Callable[[str, Path], Path | None] = lambda name, caller: None
    read: Callable[[Path], Source | None] = lambda path: None
    values: Mapping[str, Callable[[], Collection[str]]] = field(default_factory=dict)
    _described: dict[str, tuple[CommandSpec | None, DescribedCommand]] = field(default_factory=dict)

    @cached_property
    def schema(self) -> SchemaWalk:
        """Return the schema of the keys; it is the same for all projects."""
        return SchemaWalk(generic_schema())

    def command(self, name: str) -> CommandSpec | None:
        """Return a command; None if it is unknown or broken, which the check reports."""
        if name not in self.catalog.names:
            return None
        try:
            return self.catalog.get(name)
        except BrokenCommandError:
            return None

    def describe(self, name: str) -> DescribedCommand | None:
        """Return the help and the options of a command; None if it is unknown."""
        if name not in self.catalog.names:
            return None
        spec = self.command(name)
        known, described = self._described.get(name, (None, None))
        # A command that could not be loaded may be loaded later, and one whose file has changed is loaded again.
        if described is None or spec is None or known is not spec:
            described = describe_command(name, self.catalog, databases=self.databases)
            self._described[name] = (spec, described)
        return described
