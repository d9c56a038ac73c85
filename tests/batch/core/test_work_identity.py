"""Tests which options identify the work."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
from django.core.management.base import CommandError, CommandParser

from django_runbook.batch import BatchCommand, FileBatchCommand
from django_runbook.batch.core.batch_options import BatchOptions
from django_runbook.batch.core.work_identity import identify
from django_runbook.batch.parts.mixin import CommandMixin
from django_runbook.models.checkpoints import Checkpoint
from tests.batch.commands import CountItems, MarkItems, call
from tests.batch.engines import Engine
from tests.batch.parts.test_mixin import names_of_options
from tests.batchapp.models import (
    Item,
)


def test_an_option_that_changes_the_rows_has_its_own_checkpoint(sqlite: Engine) -> None:
    sqlite.fill(4)
    call(sqlite, MarkItems(), "--limit", 2)
    assert call(sqlite, MarkItems(), "--value", "1")[0] == "2 done\n"
    assert Checkpoint.objects.using(sqlite.alias).count() == 1
    assert call(sqlite, MarkItems(), "--batch-size", 1)[0] == "0 done (2 including earlier runs)\n"
    assert sqlite.problems(4) == []


class Timed(CommandMixin):
    """Is a part with an option that changes nothing about the rows, and one that chooses them."""

    stealth_options: tuple[str, ...] = ("report",)
    cursor_free_options: ClassVar[tuple[str, ...]] = ("max_seconds", "report")

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        parser = super().create_parser(prog_name, subcommand, **kwargs)
        parser.add_argument("--max-seconds")
        parser.add_argument("--since")
        return parser


class TimedItems(Timed, CountItems):
    """Has the options of a part before those of the library."""


def test_work_continues_with_another_value_of_a_cursor_free_option(sqlite: Engine) -> None:
    sqlite.fill(4)
    call(sqlite, TimedItems(), "--limit", 2, "--max-seconds", "10m", "--since", "2013")
    out, _ = call(sqlite, TimedItems(), "--limit", 1, "--max-seconds", "20m", "--since", "2013", report=str)
    assert out == "1 done (3 including earlier runs); the next run continues from there\n"
    assert call(sqlite, TimedItems(), "--since", "2013")[0] == "1 done (4 including earlier runs)\n"
    assert sqlite.problems(4) == []
    call(sqlite, TimedItems(), "--limit", 2, "--since", "2013")
    assert call(sqlite, TimedItems(), "--since", "2014")[0] == "4 done\n"


@pytest.mark.parametrize("base", [BatchCommand, FileBatchCommand])
def test_only_options_that_can_change_the_rows_identify_the_work(base: type[BatchCommand | FileBatchCommand]) -> None:
    class Command(Timed, base):  # type: ignore[misc, valid-type]  # a variable
        cursor_free_options = ("color",)

        def add_arguments(self, parser: CommandParser) -> None:
            parser.add_argument("--color")
            parser.add_argument("--day")

    def scope(**changed: str) -> str:
        command.options = {**dict.fromkeys(names, "one"), **changed}
        return identify(
            module="module",
            command="command",
            database="default",
            description="rows",
            cursor_options=command.cursor_options(),
            options=BatchOptions(batch_size=None, target_seconds=1),
        ).scope

    command, names = Command(), names_of_options(Command)
    assert {name for name in names if scope(**{name: "other"}) != scope()} == {"day", "since"}


class Chosen(CountItems):
    """Has an option of any value."""

    def cursor_options(self) -> dict[str, Any]:
        return {"chosen": self.options["chosen"]}

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("--chosen")


def test_an_option_that_is_a_set_is_the_same_in_any_order(sqlite: Engine) -> None:
    one, same = {8, 0}, {0, 8}
    assert list(one) != list(same)
    sqlite.fill(4)
    call(sqlite, Chosen(), "--limit", 2, chosen=[one, frozenset(("a", 1))])
    assert call(sqlite, Chosen(), chosen=[same, frozenset((1, "a"))])[0] == "2 done (4 including earlier runs)\n"


def test_an_option_that_differs_in_each_process_is_refused(sqlite: Engine) -> None:
    with pytest.raises(CommandError, match=r'the option "chosen" has the value <object .*override cursor_options\(\)'):
        call(sqlite, Chosen(), chosen=[object()])


def test_an_option_that_is_a_function_means_the_same_in_each_process(sqlite: Engine) -> None:
    class Chosen(CountItems):
        def add_arguments(self, parser: Any) -> None:
            parser.set_defaults(method=self.get_queryset, kind=Item)

    sqlite.fill(4)
    for command in (Chosen(), Chosen()):
        call(sqlite, command, "--limit", 2)
    assert sqlite.problems(4) == []


def test_a_function_without_an_importable_name_is_refused(sqlite: Engine) -> None:
    class Chosen(CountItems):
        chosen: Any = staticmethod(str.upper)

        def add_arguments(self, parser: Any) -> None:
            parser.set_defaults(method=self.chosen)

    sqlite.fill(4)
    call(sqlite, Chosen(), "--limit", 2)
    Chosen.chosen = staticmethod(lambda: None)
    with pytest.raises(CommandError, match="differs in each process"):
        call(sqlite, Chosen())
