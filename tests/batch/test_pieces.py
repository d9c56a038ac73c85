"""The pure pieces of batches: sizes, kinds of errors, limits, and keys that cannot be written down."""

from __future__ import annotations

import errno
import subprocess
import sys
from typing import Any

import pytest
from django.core.management.base import CommandError
from django.db import (
    DatabaseError,
    DataError,
    IntegrityError,
    InterfaceError,
    InternalError,
    OperationalError,
    ProgrammingError,
)
from django.db.models import DateTimeField

from django_runbook import batch
from django_runbook.batch.core.batch_options import ErrorLimit
from django_runbook.batch.core.error_kinds import ErrorKind, classify, message
from django_runbook.batch.core.sizing import AdaptiveSize, FixedSize
from django_runbook.batch.sources.keyset import Key
from django_runbook.exceptions import LockLost
from tests.batchapp.models import WithMoment, WithNumber


def settle(size: AdaptiveSize, *, seconds_per_row: float, count: int) -> list[int]:
    sizes = []
    for _ in range(count):
        sizes.append(size.next())
        size.note(count=sizes[-1], seconds=sizes[-1] * seconds_per_row)
    return sizes


def test_a_size_grows_twofold_at_most_and_settles_at_the_target() -> None:
    sizes = settle(AdaptiveSize(target_seconds=0.5), seconds_per_row=0.0005, count=8)
    assert sizes == [100, 200, 400, 800, 1000, 1000, 1000, 1000]


def test_a_slow_moment_is_met_by_the_next_batch() -> None:
    size = AdaptiveSize(target_seconds=0.5)
    settle(size, seconds_per_row=0.0005, count=8)
    assert settle(size, seconds_per_row=0.004, count=3) == [1000, 125, 125]
    assert settle(size, seconds_per_row=0.0005, count=15)[-1] > 800


def test_a_size_stays_between_one_and_the_largest() -> None:
    assert settle(AdaptiveSize(target_seconds=0.5), seconds_per_row=9.0, count=2) == [100, 1]
    assert settle(AdaptiveSize(target_seconds=0.5), seconds_per_row=0.0, count=9)[-1] == 10_000


def test_a_batch_that_was_cut_short_tells_nothing() -> None:
    size = AdaptiveSize(target_seconds=0.5)
    size.note(count=3, seconds=9.0)
    assert size.next() == 100


def test_a_fixed_size_stays() -> None:
    size = FixedSize(7)
    size.note(count=7, seconds=100.0)
    assert size.next() == 7


def caused(error: Exception, **values: Any) -> Exception:
    cause = Exception(*values.pop("args", ()))
    for name, value in values.items():
        setattr(cause, name, value)
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (caused(OperationalError(), sqlstate="40P01"), ErrorKind.TRANSIENT),
        (caused(OperationalError(), sqlstate="08006"), ErrorKind.TRANSIENT),
        (caused(InternalError(), sqlstate="25P03"), ErrorKind.TRANSIENT),
        (caused(OperationalError(), sqlstate="57014"), ErrorKind.TRANSIENT),
        (caused(OperationalError(), sqlstate="53100"), ErrorKind.FATAL),
        (caused(OperationalError(), sqlstate="53300"), ErrorKind.TRANSIENT),
        (caused(ProgrammingError(), sqlstate="42P01"), ErrorKind.FATAL),
        (caused(IntegrityError(), sqlstate="23505"), ErrorKind.ROW),
        (caused(DataError(), sqlstate="22001"), ErrorKind.ROW),
        (caused(OperationalError(), sqlite_errorcode=5), ErrorKind.TRANSIENT),
        (caused(OperationalError(), sqlite_errorcode=261), ErrorKind.TRANSIENT),
        (caused(OperationalError(), sqlite_errorcode=13), ErrorKind.FATAL),
        (caused(OperationalError(), sqlite_errorcode=778), ErrorKind.FATAL),
        (caused(IntegrityError(), sqlite_errorcode=2067), ErrorKind.ROW),
        (caused(OperationalError(), args=(1213, "Deadlock found"), sqlstate="HY000"), ErrorKind.TRANSIENT),
        (caused(OperationalError(), args=(2013, "Lost connection")), ErrorKind.TRANSIENT),
        (caused(OperationalError(), args=(1114, "The table is full")), ErrorKind.FATAL),
        (caused(IntegrityError(), args=(1062, "Duplicate entry")), ErrorKind.ROW),
        (caused(OperationalError(), args=("the connection is lost",)), ErrorKind.TRANSIENT),
        (InterfaceError("connection already closed"), ErrorKind.TRANSIENT),
        (DatabaseError("Save with update_fields did not affect any rows."), ErrorKind.ROW),
        (ValueError("bad"), ErrorKind.ROW),
        (CommandError("that was it"), ErrorKind.FATAL),
        (LockLost("gone"), ErrorKind.FATAL),
        (OSError(errno.ENOSPC, "No space left on device"), ErrorKind.FATAL),
        (OSError(errno.ENOENT, "No such file"), ErrorKind.ROW),
        (MemoryError(), ErrorKind.FATAL),
    ],
    ids=lambda value: "" if isinstance(value, ErrorKind) else None,
)
def test_an_error_is_transient_or_a_fault_of_a_row_or_of_all(error: Exception, kind: ErrorKind) -> None:
    assert classify(error) is kind


def test_a_message_is_one_line() -> None:
    assert message(ValueError("a\nb")) == "ValueError: a b"
    assert message(KeyError()) == "KeyError"


def test_a_share_of_errors_is_taken_of_what_is_known() -> None:
    limit = ErrorLimit(percent=1.0)
    assert limit.base(total_count=500, seen_count=20) == 500
    assert limit.base(total_count=None, seen_count=20) == 1000
    assert limit.base(total_count=None, seen_count=5000) == 5000
    assert limit.allows(5, of=500)
    assert not limit.allows(6, of=500)


@pytest.mark.parametrize("percent", range(101))
def test_a_share_of_a_hundred_is_exact(percent: int) -> None:
    limit = ErrorLimit(percent=float(percent))
    assert limit.allows(percent, of=100)
    assert not limit.allows(percent + 1, of=100)
    assert ErrorLimit(percent=percent / 100).allows(percent, of=10_000)


def test_a_key_that_loses_something_in_text_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.batch.test_command import MOMENT

    monkeypatch.setattr(DateTimeField, "value_to_string", lambda self, row: row.id.isoformat(timespec="milliseconds"))
    with pytest.raises(CommandError, match="cannot be a cursor"):
        Key(WithMoment).encode([MOMENT])


def test_a_key_is_written_and_read_back() -> None:
    assert Key(WithNumber).encode([-5]) == '["-5"]'
    assert Key(WithNumber).decode('["-5"]') == (-5,)


def test_the_library_is_imported_by_need() -> None:
    code = "import sys; import django_runbook.batch as b; b.track; assert 'django_runbook.models' not in sys.modules; assert 'rich' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    assert all(getattr(batch, name) for name in batch.__all__)
    with pytest.raises(AttributeError, match="BatchComand"):
        batch.BatchComand  # noqa: B018 - it is looked up
