"""A worker with other code than the run returns its calls, if the settings ask for that."""

from __future__ import annotations

from typing import Any

import pytest

from django_runbook.calls import NO_CONTENT, Call, CallStatus
from django_runbook.queues import versions
from django_runbook.queues.versions import VersionRefusal
from tests.journal_data import new_run
from tests.queues.calls_data import add_call


@pytest.mark.parametrize(
    ("own", "refuses", "refusal_count", "expected"),
    [
        ("2", True, 0, VersionRefusal.RELEASE),
        ("2", True, 2, VersionRefusal.RELEASE),
        ("2", True, 3, VersionRefusal.FAIL),
        ("1", True, 3, None),
        ("2", False, 0, None),
    ],
)
def test_other_code_is_refused_at_most_three_times(
    settings: Any, own: str, refusal_count: int, expected: VersionRefusal | None, *, refuses: bool
) -> None:
    settings.RUNBOOK = {"QUEUE": {"VERSION": own, "REFUSES_OTHER_VERSION": refuses}}
    # It was released by many workers that shut down.
    call = Call(version="1", release_count=9, refusal_count=refusal_count)
    assert versions.refusal_of(call) is expected


def test_the_same_or_an_unknown_version_has_no_warning(settings: Any) -> None:
    settings.RUNBOOK = {"QUEUE": {"VERSION": "2"}}
    assert versions.warning_of(Call(version="2")) == versions.warning_of(Call(version="")) == ""
    assert versions.warning_of(Call(version="1")) == 'the worker has the code "2", and the run has "1"'


@pytest.mark.django_db
@pytest.mark.parametrize(("is_refused", "count"), [(True, 1), (False, 0)])
def test_only_a_refusal_counts_as_one(*, is_refused: bool, count: int) -> None:
    call = add_call(new_run(), status=CallStatus.RUNNING.value)
    assert call.release(NO_CONTENT, using="default", is_refused=is_refused)
    row = Call.objects.get()
    assert (row.status, row.release_count, row.refusal_count) == ("queued", 1, count)
