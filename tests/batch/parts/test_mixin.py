"""The parts of a command, inherited in every order, with each of Django's kinds of command."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import AppCommand, BaseCommand, CommandError, CommandParser, LabelCommand

from django_runbook.batch.parts.database_command import DatabaseCommand
from django_runbook.batch.parts.graceful_command import GracefulCommand
from django_runbook.batch.parts.locked_command import LockedCommand
from django_runbook.batch.parts.mixin import CommandMixin
from django_runbook.batch.parts.progress_command import ProgressCommand

PARTS: tuple[type[CommandMixin], ...] = (DatabaseCommand, GracefulCommand, LockedCommand, ProgressCommand)


class Plain:
    """Stands for a command that is of no kind."""


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


def all_orders() -> Iterator[Any]:
    for kind, whole in KINDS:
        for bases in itertools.permutations((kind, *PARTS)):
            yield pytest.param(bases, whole, id="-".join(base.__name__ for base in bases))


@pytest.mark.parametrize(("bases", "whole"), list(all_orders()))
@pytest.mark.django_db(databases=["default", "replica"])
def test_every_order_of_the_parts_gives_the_same_command(
    bases: tuple[type, ...], whole: Any, settings: Any, tmp_path: Path
) -> None:
    settings.RUNBOOK = {"LOCK": {"BACKEND": "file", "OPTIONS": {"directory": tmp_path}}}
    own = {name: value for name, value in {**vars(Whole), **vars(whole)}.items() if not name.startswith("__")}
    command: Any = type("Command", bases, own)()
    reported: list[tuple[int, int | None, int]] = []

    def told_of(done_count: int, total_count: int | None, failed_count: int) -> None:
        reported.append((done_count, total_count, failed_count))

    call_command(
        command,
        *whole.tokens,
        "--database=replica",
        "--lock-wait=1s",
        stopping=lambda: True,
        progress=told_of,
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


def test_stealth_options_are_those_of_all_bases_and_each_once() -> None:
    class Command(ProgressCommand, LabelCommand, GracefulCommand):
        stealth_options = ("own", "stopping")

    assert sorted(Command.stealth_options) == ["own", "progress", "stopping"]

    class Child(Command):
        """Has none of its own."""

    assert sorted(Child.stealth_options) == ["own", "progress", "stopping"]
