"""The row of a running call: its output is stored once, and a command waits for the database."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import OperationalError, connection

from django_runbook.models.calls import Call, CallOutput, CallStatus
from django_runbook.queues import call_watcher
from django_runbook.queues.call_halt import CallHalt
from django_runbook.queues.call_watcher import CallWatcher, write_with_output
from tests.journal_data import new_run
from tests.queues.calls_data import add_call

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def call() -> Call:
    return add_call(new_run(), status=CallStatus.RUNNING.value)


def watcher_of(call: Call) -> CallWatcher:
    nothing: Any = SimpleNamespace(is_lost=False, is_requested=False, request_count=0)
    return CallWatcher(
        call=call, halt=CallHalt(stop=nothing, lock=nothing, is_repeatable=True, grace_seconds=1), alias="default"
    )


def stored() -> list[str]:
    return [line for part in CallOutput.objects.order_by("number") for _, line in part.lines]


class Outage:
    """Breaks the connection at the next commits, before or after they take place."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, count: int, is_committed: bool) -> None:
        self.count = count
        self.is_committed = is_committed
        database: Any = connection
        self._commit: Callable[[], None] = database._commit
        monkeypatch.setattr(connection, "_commit", self.commit)

    def commit(self) -> None:
        if self.count and not self.is_committed:
            self.count -= 1
            raise OperationalError("the connection was lost")
        self._commit()
        if self.count:
            self.count -= 1
            raise OperationalError("the connection was lost")


@pytest.mark.parametrize("is_committed", [False, True])
@pytest.mark.parametrize("is_last", [False, True], ids=["written-again", "written-with-the-end"])
def test_output_is_stored_once_whatever_a_broken_commit_did(
    call: Call, monkeypatch: pytest.MonkeyPatch, *, is_committed: bool, is_last: bool
) -> None:
    watcher = watcher_of(call)
    watcher.write_line("stdout", "one")
    Outage(monkeypatch, count=1, is_committed=is_committed)
    assert not watcher._update()
    watcher.write_line("stdout", "two")
    if not is_last:
        assert watcher._update()
        assert watcher._update()
        assert watcher.pending_output().lines == []
    assert write_with_output(
        call, watcher.pending_output(), lambda **changes: call.finish({}, **changes), using="default"
    )
    assert stored() == ["one", "two"]
    row = Call.objects.get()
    assert (row.status, row.output_count) == ("done", len(CallOutput.objects.all()))


@pytest.mark.parametrize("is_committed", [False, True])
def test_much_output_is_stored_in_parts_that_every_database_accepts(
    call: Call, monkeypatch: pytest.MonkeyPatch, *, is_committed: bool
) -> None:
    monkeypatch.setattr(call_watcher, "_MAX_PART_CHARACTERS", 100)
    watcher = watcher_of(call)
    lines = [str(number) * 40 for number in range(9)] + ["x" * 200, "end"]
    for line in lines:
        watcher.write_line("stdout", line)
    Outage(monkeypatch, count=1, is_committed=is_committed)
    assert not watcher._update()
    watcher.write_line("stdout", "late")
    assert watcher._update()
    assert watcher._update()
    assert stored() == [*lines, "late"]
    numbers = list(CallOutput.objects.order_by("number").values_list("number", flat=True))
    assert numbers == list(range(1, Call.objects.get().output_count + 1))
    assert max(sum(len(line) for _, line in part.lines) for part in CallOutput.objects.all()) == 200


def test_a_command_waits_while_too_much_output_is_not_stored(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    watcher = watcher_of(call)
    outage = Outage(monkeypatch, count=2, is_committed=False)
    for number in range(5):
        assert watcher.accepts_output() == (number < 4)
        watcher.write_line("stdout", str(number) * 1024 * 1024)
    assert not watcher._update()
    assert not watcher._update()
    assert not watcher.accepts_output()
    assert outage.count == 0
    assert watcher._update()
    assert watcher.accepts_output()
    assert [line[0] for line in stored()] == ["0", "1", "2", "3", "4"]


def test_a_command_waits_as_long_as_its_run_asks_for_a_pause(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    watcher = watcher_of(call)
    now = 100.0
    monkeypatch.setattr(call_watcher, "time", SimpleNamespace(monotonic=lambda: now))
    assert call.pause(using="default")
    assert watcher.accepts_output()
    watcher._update()
    assert not watcher.accepts_output()
    now += call_watcher._PAUSE_SECONDS
    # The run has died, or has caught up.
    watcher._update()
    assert watcher.accepts_output()
    assert call.pause(using="default")
    watcher._update()
    assert not watcher.accepts_output()


def test_nothing_is_written_while_the_command_commits_the_row(call: Call) -> None:
    watcher = watcher_of(call)
    watcher.write_line("stdout", "one")
    output = watcher.begin_commit()
    watcher.write_line("stdout", "two")
    assert not watcher._update()
    assert stored() == []
    assert [line for _, line in output.lines] == ["one"]
    assert write_with_output(call, output, lambda **changes: call.finish({}, **changes), using="default")
    assert stored() == ["one"]
    # The command's transaction was rolled back: all is still here.
    assert [line for _, line in watcher.pending_output().lines] == ["one", "two"]
