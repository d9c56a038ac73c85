"""Watches all calls of a run in one thread, with one connection to the database and few queries."""

from __future__ import annotations

import contextlib
import math
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from functools import partial
from typing import Any, Final, Self, TypeVar

from django.db import connections
from django.db.models import QuerySet

from django_runbook.exceptions import JournalLost, RunbookError, in_words
from django_runbook.handover import Handover
from django_runbook.journal.connection import GONE, JournalConnection
from django_runbook.models import statements
from django_runbook.models.calls import OPEN, Call, CallOutput, CallStatus, StopLevel
from django_runbook.queues import call_results
from django_runbook.queues.call_liveness import CallLiveness
from django_runbook.queues.message_sender import MessageSender
from django_runbook.queues.refused_calls import RefusedCalls
from django_runbook.structs import MutableStruct, field

_Value = TypeVar("_Value")
# A quiet call is read once a second; after news, sooner, so that a short call is not slowed down.
_FASTEST_SECONDS: Final = 0.01
_SLOWEST_SECONDS: Final = 1.0
_GROWTH: Final = 1.15
_MAX_IDS: Final = 500
# More parts of the output of a call stay in the database while its step is slower than its worker.
_MAX_WAITING_PARTS: Final = 64
# The worker reads such a request once a second.
_ASK_AGAIN_SECONDS: Final = 1.0
_COLUMNS: Final = (
    "id",
    "attempt",
    "status",
    "claim",
    "worker",
    "host",
    "pid",
    "queue",
    "done_count",
    "total_count",
    "failed_count",
    "output_count",
    "pause_count",
    "version",
    "refusal_count",
    "refused_version",
    "is_hidden",
)


class WatchedCall(MutableStruct):
    """Passes the news of a call to the thread of its step: functions that report them, and at last its row."""

    call: Call
    news: Handover[Callable[[], None] | Call] = field(default_factory=Handover)
    write_line: Callable[[str, str], None]
    report_progress: Callable[[int, int | None, int], None]
    on_claimed: Callable[[str, int], None]
    seen_output_count: int = 0
    seen: tuple[object, ...] = ()
    paused_at: float = -math.inf

    def is_pause_due(self, row: Call) -> bool:
        """Return whether to ask the worker for a pause now, because it writes faster than this step reports."""
        is_behind = row.output_count - self.seen_output_count > _MAX_WAITING_PARTS
        is_due = (
            is_behind and row.status == CallStatus.RUNNING and time.monotonic() >= self.paused_at + _ASK_AGAIN_SECONDS
        )
        if is_due:
            self.paused_at = time.monotonic()
        return is_due

    def without_row(self) -> Call:
        """Return the call as a dead one, because its row was deleted."""
        self.call.status = CallStatus.DEAD.value
        return self.call

    def next_parts(self, row: Call) -> range:
        """Return the numbers of the parts of the output for which there is room."""
        first = self.seen_output_count + 1
        return range(first, min(row.output_count + 1, first + _MAX_WAITING_PARTS - self.news.count()))


class CallMonitor:
    """Inserts, reads, stops and sends calls, all from one thread; as a context manager, runs that thread.

    ``error`` is set once the database has been lost: the workers continue, and a resumed run finds the calls.
    """

    def __init__(
        self,
        *,
        run_id: str,
        connection: JournalConnection,
        sender: MessageSender,
        liveness: CallLiveness,
        refused: RefusedCalls,
    ) -> None:
        self.error: RunbookError | None = None
        self._run_id = run_id
        self._connection = connection
        self._alias = connection.alias
        self._sender = sender
        self._liveness = liveness
        self._refused = refused
        self._requests = Handover[tuple[Callable[[], Any], Future[Any]] | None]()
        self._watched: dict[str, WatchedCall] = {}
        self._interval_seconds = _FASTEST_SECONDS
        self._thread: threading.Thread | None = None
        self._guard = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        with self._guard:
            thread, self._thread = self._thread, None
        if thread is not None:
            if self.error is None:
                self._requests.put((self._delete_outputs, Future()))
            self._requests.put(None)
            thread.join()
        self._sender.close()

    @property
    def watched_count(self) -> int:
        return len(self._watched)

    def begin(self, watched: WatchedCall, *, is_new: bool) -> None:
        """Insert a new call and send its message, or continue to watch an existing one."""

        def begin() -> None:
            if is_new:
                self._connection.execute(
                    lambda is_repeated: _insert(watched.call, self._alias, is_repeated=is_repeated)
                )
            self._watched[watched.call.pk] = watched
            self._interval_seconds = 0.0
            if watched.call.status == CallStatus.QUEUED:
                self._sender.add(watched.call.pk, queue=watched.call.queue)

        self._do(begin)

    def request_stop(self, call: Call, level: StopLevel) -> None:
        """Cancel a queued call, or ask the worker of a running one to stop it."""

        def stop() -> None:
            def write(is_repeated: bool) -> None:  # noqa: FBT001 - as JournalConnection calls it
                # A resumed run that has taken the call over gave it a later attempt.
                own = {"attempt": call.attempt}
                running = self._rows([call.pk]).filter(status=CallStatus.RUNNING.value, **own)
                if not call.cancel(using=self._alias, **own) and not running.update(stop_level=level.value):
                    # Its worker may have released it in between.
                    call.cancel(using=self._alias, **own)

            self._connection.execute(write)
            self._interval_seconds = 0.0

        self._do(stop)

    def give_up(self, call: Call) -> None:
        """Mark a call as dead whose worker does not answer, unless it has ended."""
        self._do(lambda: self._mark_dead(call, attempt=call.attempt))

    def adopt(self, call_id: str, *, attempt: int, version: str) -> Call | None:
        """Return a call that an earlier attempt of the run has left, which now belongs to this attempt of its step.

        ``version`` is that of the code that this attempt has: a call that still waits needs a worker with the same one.
        A stop of the earlier attempt is none of this one.
        """

        def adopt(is_repeated: bool) -> Call | None:  # noqa: FBT001 - as JournalConnection calls it
            self._rows([call_id]).update(attempt=attempt, stop_level=StopLevel.NONE.value)
            self._rows([call_id]).filter(status=CallStatus.QUEUED.value).update(version=version)
            return self._rows([call_id]).first()

        return self._do(lambda: self._connection.execute(adopt))

    def forget_output(self, call: Call) -> None:
        """Remove the captured output of a call whose output must not be stored."""

        def forget(is_repeated: bool) -> None:  # noqa: FBT001 - as JournalConnection calls it
            self._rows([call.pk]).update(result={**call.result, "stdout": [""]})

        self._do(lambda: self._connection.execute(forget))

    def _delete_outputs(self) -> None:
        """Delete the output of the calls that have ended, which the history of the run has stored by now."""
        ended = CallOutput.objects.using(self._alias).filter(call__run_id=self._run_id).exclude(call__status__in=OPEN)
        self._connection.execute_once(lambda: _delete(ended))

    def _rows(self, ids: Iterable[str]) -> QuerySet[Call]:
        return Call.objects.using(self._alias).filter(pk__in=list(ids))

    def _read_rows(self, ids: Iterable[str]) -> list[Call]:
        keys = tuple(ids)
        return self._connection.execute(lambda is_repeated: statements.select(Call, {"id": keys}, using=self._alias))

    def _mark_dead(self, call: Call, **conditions: Any) -> None:
        self._connection.execute(lambda is_repeated: call.mark_dead(using=self._alias, **conditions))

    def _do(self, function: Callable[[], _Value]) -> _Value:
        """Call a function in the thread of the monitor, and return what it returns."""
        if self.error is not None:
            raise self.error
        with self._guard:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="runbook-calls", daemon=True)
                self._thread.start()
        future: Future[_Value] = Future()
        self._requests.put((function, future))
        return future.result()

    def _run(self) -> None:
        polled_at = time.monotonic()
        try:
            while True:
                due_seconds = polled_at + self._interval_seconds - time.monotonic()
                with contextlib.suppress(queue.Empty):
                    request = self._requests.get(due_seconds if self._watched else None)
                    if request is None:
                        return
                    _answer(*request)
                    continue
                self._poll()
                polled_at = time.monotonic()
        finally:
            connections.close_all()

    def _poll(self) -> None:
        try:
            has_news = self._read()
            # They are noticed at the next read.
            for call in self._liveness.dead_among([one.call for one in self._watched.values()]):
                self._mark_dead(call)
        except Exception as error:  # noqa: BLE001 - the steps that wait for this thread end with its error
            self.error = error if isinstance(error, RunbookError) else JournalLost(f"internal error: {in_words(error)}")
            self._end_all()
            return
        fastest = min(_SLOWEST_SECONDS, _FASTEST_SECONDS * max(1, len(self._watched)))
        self._interval_seconds = (
            fastest if has_news else min(_SLOWEST_SECONDS, max(fastest, self._interval_seconds * _GROWTH))
        )

    def _read(self) -> bool:
        """Read the open calls of the run, and those that have ended; return whether there was any news."""
        rows = self._connection.execute(
            lambda is_repeated: statements.select(
                Call, {"run": self._run_id, "status": OPEN}, names=_COLUMNS, using=self._alias
            )
        )
        found = {row.pk: row for row in rows if row.pk in self._watched}
        changed = [pk for pk, row in found.items() if self._note(self._watched[pk], row)]
        changed += self._read_ended([pk for pk in self._watched if pk not in found])
        return bool(changed)

    def _read_ended(self, ended: list[str]) -> list[str]:
        """Read the calls that have ended, and pass on those whose output is passed on; return the ids with news."""
        changed: list[str] = []
        for ids in _chunks(ended):
            rows = {row.pk: row for row in self._read_rows(ids)}
            for watched in [self._watched[pk] for pk in ids]:
                row = rows.get(watched.call.pk) or watched.without_row()
                has_news = row is not watched.call and self._note(watched, row)
                is_over = row is watched.call or watched.seen_output_count >= row.output_count
                if is_over:
                    del self._watched[row.pk]
                    watched.news.put(row)
                changed += [row.pk] if has_news or is_over else []
        return changed

    def _note(self, watched: WatchedCall, row: Call) -> bool:
        """Pass on what is new in a row; raise JournalLost if a resumed run has taken the call over."""
        if row.attempt != watched.call.attempt:
            raise JournalLost(GONE)
        progress = (row.done_count, row.total_count, row.failed_count, row.output_count)
        seen = (row.status, row.claim, *progress, row.refusal_count)
        if seen == watched.seen:
            if row.status == CallStatus.QUEUED:
                self._keep_sending(row)
            return self._pass_on_output(watched, row)
        before, watched.seen = watched.seen, seen
        watched.call.status, watched.call.claim, watched.call.worker = row.status, row.claim, row.worker
        self._liveness.note_change(row)
        self._note_refusals(row, is_first=not before)
        if row.claim and (not before or before[1] != row.claim) and row.pid is not None:
            host, pid = row.host, row.pid
            watched.news.put(lambda: watched.on_claimed(host, pid))
        self._pass_on_output(watched, row)
        if row.done_count is not None:
            done, total, failed = row.done_count, row.total_count, row.failed_count
            watched.news.put(lambda: watched.report_progress(done, total, failed))
        return True

    def _note_refusals(self, row: Call, *, is_first: bool) -> None:
        """Let a call that returned to its queue, or that a worker has refused, wait until it is sent again."""
        if row.status == CallStatus.RUNNING:
            self._refused.note_claim(row)
        elif row.status == CallStatus.QUEUED:
            pause_seconds = self._refused.note(row)
            if pause_seconds is not None:
                self._sender.note_refusal(row.pk, pause_seconds=pause_seconds)
            elif not is_first:
                self._sender.note_release(row.pk)

    def _keep_sending(self, row: Call) -> None:
        """Send the message of a queued call again when that is due, or fail it."""
        failed = self._refused.failure_of(row)
        if failed is None:
            self._sender.send_again_when_due(row.pk, queue=row.queue)
            return
        # Its message names versions, and nothing of the command.
        stored = call_results.to_json(failed, secrets={}, mask=str)
        self._connection.execute(lambda is_repeated: row.fail(stored, using=self._alias))

    def _pass_on_output(self, watched: WatchedCall, row: Call) -> bool:
        """Pass on the parts of the output for which there is room; return whether there were any."""
        if watched.is_pause_due(row):
            self._connection.execute(lambda is_repeated: row.pause(using=self._alias))
        numbers = watched.next_parts(row)
        if numbers:
            for part in self._connection.execute(lambda is_repeated: _read_parts(row, numbers, using=self._alias)):
                watched.news.put(partial(_write_lines, part.lines, watched.write_line))
            watched.seen_output_count = numbers[-1]
        return bool(numbers)

    def _end_all(self) -> None:
        for watched in self._watched.values():
            watched.news.put(watched.call)
        self._watched.clear()


def _write_lines(lines: list[list[str]], write_line: Callable[[str, str], None]) -> None:
    for stream, line in lines:
        write_line(stream, line)


def _answer(function: Callable[[], Any], future: Future[Any]) -> None:
    try:
        future.set_result(function())
    except BaseException as error:  # noqa: BLE001 - the thread that asked gets it
        future.set_exception(error)


def _insert(call: Call, alias: str, *, is_repeated: bool) -> None:
    if not (is_repeated and Call.objects.using(alias).filter(pk=call.pk).exists()):
        statements.insert(call, using=alias)


def _read_parts(row: Call, numbers: range, *, using: str) -> list[CallOutput]:
    parts = CallOutput.objects.using(using).filter(call_id=row.pk, number__gte=numbers[0], number__lte=numbers[-1])
    return list(parts.order_by("number"))


def _delete(rows: QuerySet[CallOutput]) -> None:
    # By keys: MariaDB does not delete from a table that the condition joins.
    CallOutput.objects.using(rows.db).filter(pk__in=list(rows.values_list("pk", flat=True))).delete()


def _chunks(ids: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(ids), _MAX_IDS):
        yield ids[start : start + _MAX_IDS]
