"""Accounts in, lines and JSON out."""

from __future__ import annotations

import pytest

from django_runbook.row_account import RowAccount, TableCounts, from_stored, to_stored

BIG = RowAccount(
    tables={
        "airports": TableCounts(inserted=3),
        "flights": TableCounts(inserted=27_004, updated=12, deleted=3),
        "planes@archive": TableCounts(written=40),
    }
)


def test_a_line_begins_with_the_table_that_changed_most() -> None:
    assert str(BIG) == "flights +27,004 ~12 -3, planes@archive +~40, airports +3"


def test_counts_have_words() -> None:
    assert BIG.tables["flights"].words == "27,004 inserted, 12 updated, 3 deleted"
    assert BIG.tables["planes@archive"].words == "40 inserted or updated"


def test_a_line_names_five_tables() -> None:
    many = RowAccount(tables={f"t{number}": TableCounts(deleted=9 - number) for number in range(7)})
    assert str(many) == "t0 -9, t1 -8, t2 -7, t3 -6, t4 -5, 2 more tables"


def test_what_is_not_exact_says_so() -> None:
    assert str(RowAccount()) == ""
    assert str(RowAccount(tables={"t": TableCounts(deleted=1)}, notes=("a", "b"))) == "at least t -1"
    assert str(RowAccount(notes=("a", "b"))) == "rows unknown: a"
    assert str(RowAccount(unknown="it was killed")) == "rows unknown: it was killed"


@pytest.mark.parametrize(
    "account", [None, RowAccount(), BIG, RowAccount(notes=("a",), unknown="b")], ids=["none", "empty", "big", "notes"]
)
def test_a_stored_account_is_read_as_it_was(account: RowAccount | None) -> None:
    assert from_stored(to_stored(account)) == account


def test_the_tables_of_one_database_can_be_left_out() -> None:
    assert list(BIG.without("default", default="default").tables) == ["planes@archive"]
    assert list(BIG.without("archive", default="default").tables) == ["airports", "flights"]
