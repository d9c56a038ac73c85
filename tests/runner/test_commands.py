"""Tests the names by which batch commands know their calls."""

from __future__ import annotations

import pytest

from django_runbook.runner.commands import MAX_KEY, call_key


@pytest.mark.parametrize("key", ["backfill", "weekly/backfill", "x" * MAX_KEY])
def test_the_call_of_each_item_has_a_name_of_its_own_that_a_column_can_hold(key: str) -> None:
    names = [
        call_key("0" * 32, f"{key}{items}", number=number)
        for items in ("", "[0]", "[1]", "[4,0]", "[4,1]", "[5,0]")
        for number in (1, 2)
    ]
    assert len(set(names)) == len(names)
    assert max(map(len, names)) <= 200
    # The shards of a loop differ in the number of the item alone.
    assert names[2].removesuffix("[0]") == names[4].removesuffix("[1]")
    assert names[7].removesuffix("0]:2") == names[9].removesuffix("1]:2")
