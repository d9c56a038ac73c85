"""Loads a command again when its file has changed: an editor stays open while its user writes commands."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

from django.core.management import get_commands

from django_runbook.binding.catalog import BrokenCommandError, Catalog, CommandSpec
from django_runbook.binding.quiet import quiet
from django_runbook.exceptions import in_words


class FreshCatalog(Catalog):
    """Holds the commands of a project as their files are; a change of any other module needs a new process."""

    def __init__(self) -> None:
        super().__init__()
        self._changed_at: dict[str, int] = {}

    def refresh(self) -> None:
        """Find new commands, and reload those whose file has changed since they were loaded."""
        get_commands.cache_clear()  # type: ignore[attr-defined]  # the stubs do not show that it is cached
        self.__dict__.pop("names", None)
        for name, changed_at in list(self._changed_at.items()):
            now = self._time_of(name)
            if now is not None and now != changed_at:
                self._reload(name)
                self._changed_at[name] = now

    def get(self, name: str) -> CommandSpec:
        """Return the command of this name, and watch its file from then on."""
        try:
            return super().get(name)
        finally:
            changed_at = self._time_of(name)
            if changed_at is not None:
                self._changed_at.setdefault(name, changed_at)

    def _reload(self, name: str) -> None:
        self._specs.pop(name, None)
        self._broken.pop(name, None)
        try:
            with quiet():
                importlib.reload(sys.modules[self._module_of(name)])
        except (Exception, SystemExit) as error:  # noqa: BLE001 - the module of a command may raise anything
            # Python keeps what the module was before.
            self._broken[name] = BrokenCommandError(in_words(error))

    def _time_of(self, name: str) -> int | None:
        """Return when the file of a loaded command was changed; None without a file."""
        module = sys.modules.get(self._module_of(name))
        try:
            return Path(str(getattr(module, "__file__", None))).stat().st_mtime_ns
        except OSError:
            return None

    def _module_of(self, name: str) -> str:
        return f"{self.names.get(name, '')}.management.commands.{name}"
