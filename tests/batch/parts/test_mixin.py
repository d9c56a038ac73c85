"""The parts of a command, inherited in every order, with each of Django's kinds of command."""

from __future__ import annotations

import argparse
import itertools
import pkgutil
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

import pytest
from django.core.management import call_command
from django.core.management.base import AppCommand, BaseCommand, CommandError, CommandParser, LabelCommand
from django.db.models import QuerySet

from django_runbook import batch
from django_runbook.argparse_compat import actions_of
from django_runbook.batch import BatchCommand, FileBatchCommand, parts
from django_runbook.batch.parts.database_command import DatabaseCommand
from django_runbook.batch.parts.graceful_command import GracefulCommand
from django_runbook.batch.parts.locked_command import LockedCommand
from django_runbook.batch.parts.mixin import CommandMixin, refuse_unknown_free_options
from django_runbook.batch.parts.progress_command import ProgressCommand
from tests.batchapp.models import Item

PARTS: tuple[type[CommandMixin], ...] = (DatabaseCommand, GracefulCommand, LockedCommand, ProgressCommand)
KINDS_OF_BATCHES = (BatchCommand, FileBatchCommand)
# Options of the library that change which rows are processed, and so begin a new work.
CHOOSING_OPTIONS: frozenset[str] = frozenset()


class Plain:
    """Is a command without any of the parts."""


class Whole:
    """What a project's command may do: an option of its own that forgets the others, and a stealth option."""

    stealth_options = ("own",)
    read_only = True

    def look(self, **options: Any) -> None:
        command: Any = self
        assert (command.database, options["database"]) == ("replica", "replica")
        assert (command.stopping, command.stop_reason) == (True, "requested by the runner")
        assert list(command.track("ab")) == ["a", "b"]
        assert command.lock.is_held()
        assert options["own"] == "mine"
        command.was_called = True


class WholePlain(Whole):
    tokens: tuple[str, ...] = ("--day=today",)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--day")

    def handle(self, *args: Any, **options: Any) -> None:
        assert options["day"] == "today"
        self.look(**options)


class WholeApp(Whole):
    tokens = ("sessions",)

    def handle_app_config(self, app_config: Any, **options: Any) -> None:
        self.look(**options)


class WholeLabel(Whole):
    tokens = ("label",)

    def handle_label(self, label: str, **options: Any) -> None:
        self.look(**options)


KINDS: tuple[tuple[type, type], ...] = ((Plain, WholePlain), (AppCommand, WholeApp), (LabelCommand, WholeLabel))


def starts() -> Iterator[Any]:
    """Yield each kind with each class that its orders can begin with."""
    for kind, whole in KINDS:
        for first in (kind, *PARTS):
            # The orders of one kind of command are enough for `make test-fast`.
            marks = [] if kind is Plain else [pytest.mark.slow]
            yield pytest.param(first, kind, whole, marks=marks, id=f"{kind.__name__}-{first.__name__}")


@pytest.mark.parametrize(("first", "kind", "whole"), list(starts()))
@pytest.mark.django_db(databases=["default", "replica"])
def test_every_order_of_the_parts_gives_the_same_command(
    first: type, kind: type, whole: Any, settings: Any, tmp_path: Path
) -> None:
    settings.RUNBOOK = {"LOCK": {"BACKEND": "file", "OPTIONS": {"directory": tmp_path}}}
    # Together in one test, since pytest needs longer for a test than a command with its checks.
    for order in itertools.permutations([base for base in (kind, *PARTS) if base is not first]):
        call_whole((first, *order), whole)


def call_whole(bases: tuple[type, ...], whole: Any) -> None:
    """Call a command with these bases; a failure shows them."""
    own = {name: value for name, value in {**vars(Whole), **vars(whole)}.items() if not name.startswith("__")}
    command: Any = type("Command", bases, own)()
    reported: list[tuple[int, int | None, int]] = []

    def report(done_count: int, total_count: int | None, failed_count: int) -> None:
        reported.append((done_count, total_count, failed_count))

    call_command(
        command,
        *whole.tokens,
        "--database=replica",
        "--lock-wait=1s",
        stopping=lambda: True,
        progress=report,
        own="mine",
    )
    assert command.was_called
    assert reported == [(0, 2, 0), (2, 2, 0)]
    with pytest.raises(CommandError, match='no alias "nowhere"'):
        call_command(command, *whole.tokens, "--database=nowhere")


@pytest.mark.parametrize("part", PARTS)
def test_each_part_is_a_command_of_its_own(part: type[CommandMixin]) -> None:
    assert issubclass(part, BaseCommand)
    for other in set(PARTS) - {part}:
        assert not issubclass(part, other)


def test_each_part_of_the_library_is_tried_and_public() -> None:
    modules = [import_module(f"{parts.__name__}.{module.name}") for module in pkgutil.iter_modules(parts.__path__)]
    found = {
        value
        for module in modules
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, CommandMixin) and value.__module__ == module.__name__
    }
    assert found - {CommandMixin} == set(PARTS), "list each part in PARTS of this file"
    assert {part.__name__ for part in PARTS} <= set(batch.__all__), "list each part in batch/__init__.py"


def names_of_options(kind: type[BaseCommand]) -> set[str]:
    command = kind()
    shown = {action.dest for action in actions_of(command.create_parser("", "command"))}
    return shown.union(command.stealth_options, command.base_stealth_options) - {"help", "version"}


@pytest.mark.parametrize("kind", [*PARTS, *KINDS_OF_BATCHES])
def test_each_option_of_the_library_is_cursor_free_or_chooses_rows(kind: type[CommandMixin]) -> None:
    chosen = names_of_options(kind) - set(kind.cursor_free_options)
    assert chosen == CHOOSING_OPTIONS & names_of_options(kind), (
        "list an option in cursor_free_options of its part or, if it changes which rows are processed, in CHOOSING_OPTIONS"
    )


def test_each_cursor_free_option_exists() -> None:
    assert set(CommandMixin.cursor_free_options) == names_of_options(BaseCommand)
    for part in PARTS:
        assert set(part.cursor_free_options) <= names_of_options(part)
    free, known = (
        set().union(*map(of, KINDS_OF_BATCHES)) for of in (lambda kind: kind.cursor_free_options, names_of_options)
    )
    assert free <= known


def test_cursor_free_options_are_those_of_all_bases_and_each_once() -> None:
    class Command(LockedCommand, LabelCommand, DatabaseCommand):
        cursor_free_options = ("own", "database")

    own = sorted({"own", "database", "lock_wait"}.union(CommandMixin.cursor_free_options))
    assert sorted(Command.cursor_free_options) == own

    class Child(Command):
        """Has none of its own."""

    assert sorted(Child.cursor_free_options) == own


def test_a_string_instead_of_cursor_free_options_is_refused() -> None:
    with pytest.raises(TypeError, match=r"Command\.cursor_free_options is a string"):
        type("Command", (LockedCommand,), {"cursor_free_options": "day"})


def test_stealth_options_are_those_of_all_bases_and_each_once() -> None:
    class Command(ProgressCommand, LabelCommand, GracefulCommand):
        stealth_options = ("own", "stopping")

    assert sorted(Command.stealth_options) == ["own", "progress", "stopping"]

    class Child(Command):
        """Has none of its own."""

    assert sorted(Child.stealth_options) == ["own", "progress", "stopping"]


class Misspelled(BatchCommand):
    cursor_free_options: ClassVar[tuple[str, ...]] = ("max_secondes", "hidden", "report")
    stealth_options = ("report",)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--max-seconds", type=int)
        parser.add_argument("--hidden", default=argparse.SUPPRESS)

    def get_queryset(self) -> QuerySet[Item]:
        raise AssertionError("no row may be read")


@pytest.mark.django_db(transaction=True)
def test_a_misspelled_cursor_free_option_is_refused_before_any_row_is_read() -> None:
    message = r'of Misspelled names the option "max_secondes", which does not exist \(did you mean "max_seconds"\?\)'
    with pytest.raises(CommandError, match=message):
        call_command(Misspelled())


@pytest.mark.parametrize("base", KINDS_OF_BATCHES)
def test_cursor_free_options_that_exist_are_accepted(base: type[CommandMixin]) -> None:
    class Command(base):  # type: ignore[misc, valid-type]  # a variable
        cursor_free_options = ("max_seconds", "hidden", "report")
        stealth_options = ("report",)
        add_arguments = Misspelled.add_arguments

    refuse_unknown_free_options(Command(), {})
