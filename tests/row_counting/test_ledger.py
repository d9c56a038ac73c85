"""Counts and savepoints in, committed counts out."""

from __future__ import annotations

from django_runbook.row_account import TableCounts
from django_runbook.row_counting.ledger import Ledger


def inserted(count: int) -> dict[str, TableCounts]:
    return {"t": TableCounts(inserted=count)}


def test_only_committed_rows_count() -> None:
    ledger = Ledger()
    ledger.add(inserted(1), is_in_transaction=True)
    ledger.roll_back()
    ledger.add(inserted(2), is_in_transaction=True)
    assert ledger.committed == {}
    ledger.commit()
    ledger.add(inserted(4), is_in_transaction=False)
    assert ledger.committed == inserted(6)


def test_rows_before_a_savepoint_survive_its_rollback() -> None:
    ledger = Ledger()
    ledger.add(inserted(1), is_in_transaction=True)
    ledger.save("a")
    ledger.add(inserted(2), is_in_transaction=True)
    ledger.save("b")
    ledger.add(inserted(4), is_in_transaction=True)
    ledger.release("b")
    ledger.roll_back_to("a")
    ledger.add(inserted(8), is_in_transaction=True)
    ledger.release("a")
    ledger.release("unknown")
    ledger.commit()
    assert ledger.committed == inserted(9)


def test_the_newest_of_two_savepoints_with_one_name_is_meant() -> None:
    ledger = Ledger()
    ledger.save("a")
    ledger.add(inserted(1), is_in_transaction=True)
    ledger.save("a")
    ledger.add(inserted(2), is_in_transaction=True)
    ledger.roll_back_to("a")
    ledger.commit()
    assert ledger.committed == inserted(1)
