from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from django_runbook.binding.catalog import BrokenCommandError, UnknownCommandError
from django_runbook.language_server.workspace.fresh_catalog import FreshCatalog
from django_runbook.language_server.workspace.project import Project

COMMAND = """\
from django.core.management.base import BaseCommand
print("loaded")

class Command(BaseCommand):
    help = "{flag}"

    def add_arguments(self, parser):
        parser.add_argument("{flag}")
"""


class CommandFile:
    """Writes a command; each change is later than the one before."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._time = 1_000_000_000

    def write(self, name: str, text: str) -> None:
        path = self._folder / f"{name}.py"
        path.write_text(text)
        self._time += 10
        os.utime(path, (self._time, self._time))


@pytest.fixture
def known() -> Iterator[None]:
    """Let the tests after this one find the commands of their settings."""
    yield
    FreshCatalog().refresh()


@pytest.fixture
def commands(known: None, tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[CommandFile]:
    folder = tmp_path / "freshapp" / "management" / "commands"
    folder.mkdir(parents=True)
    monkeypatch.syspath_prepend(tmp_path)
    settings.INSTALLED_APPS = [*settings.INSTALLED_APPS, "freshapp"]
    yield CommandFile(folder)
    for name in [name for name in sys.modules if name.startswith("freshapp")]:
        del sys.modules[name]


def options_of(catalog: FreshCatalog, name: str) -> set[str]:
    catalog.refresh()
    return {flag for flag in ("--old", "--new") if catalog.has_option(name, flag, default=False)}


def test_a_command_whose_file_has_changed_is_loaded_again(commands: CommandFile) -> None:
    catalog = FreshCatalog()
    commands.write("fresh", COMMAND.format(flag="--old"))
    assert options_of(catalog, "fresh") == {"--old"}
    commands.write("fresh", COMMAND.format(flag="--new"))
    assert options_of(catalog, "fresh") == {"--new"}


def test_a_command_that_has_not_changed_is_loaded_once(commands: CommandFile) -> None:
    catalog = FreshCatalog()
    commands.write("fresh", COMMAND.format(flag="--old"))
    catalog.refresh()
    spec = catalog.get("fresh")
    catalog.refresh()
    assert catalog.get("fresh") is spec


def test_a_new_command_is_found(commands: CommandFile) -> None:
    catalog = FreshCatalog()
    catalog.refresh()
    with pytest.raises(UnknownCommandError):
        catalog.get("later")
    commands.write("later", COMMAND.format(flag="--new"))
    assert options_of(catalog, "later") == {"--new"}


def test_a_command_is_broken_while_its_file_has_an_error(commands: CommandFile) -> None:
    catalog = FreshCatalog()
    commands.write("fresh", COMMAND.format(flag="--old"))
    assert options_of(catalog, "fresh") == {"--old"}
    commands.write("fresh", "class Command(:\n")
    catalog.refresh()
    with pytest.raises(BrokenCommandError, match="SyntaxError"):
        catalog.get("fresh")
    commands.write("fresh", COMMAND.format(flag="--new"))
    assert options_of(catalog, "fresh") == {"--new"}


def test_the_help_of_a_command_is_that_of_its_file(commands: CommandFile) -> None:
    catalog = FreshCatalog()
    project = Project(catalog=catalog)
    for flag in ("--old", "--new"):
        commands.write("fresh", COMMAND.format(flag=flag))
        catalog.refresh()
        described = project.describe("fresh")
        assert described is not None
        assert flag in described.text


def test_commands_without_a_file_of_their_own_are_left_alone() -> None:
    catalog = FreshCatalog()
    catalog.get("check")
    catalog.refresh()
    assert catalog.get("check").name == "check"
