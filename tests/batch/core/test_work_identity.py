"""Tests which options identify the work."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.management.base import CommandError

from django_runbook.models import Checkpoint
from tests.batch.commands import CountItems, MarkItems, call
from tests.batch.engines import Engine
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
