"""The events of a run to its rows: a step's row says that it is running before its command is called."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from django_runbook import events
from django_runbook.document.loops import digest_of
from django_runbook.document.runbook import CommandStep
from django_runbook.exceptions import JournalLost, LockLost
from django_runbook.executors.atomic import atomically
from django_runbook.fields import storable
from django_runbook.journal.definitions import Definitions, key_of
from django_runbook.journal.output import KeptOutput
from django_runbook.journal.writer import Writer
from django_runbook.locks.base import Kept, Lock
from django_runbook.locks.watching import retaken, settle
from django_runbook.models import RUNNING, Run, StepRun, stored
from django_runbook.process.masking import Mask
from django_runbook.results import AttemptResult, ExitCode, Failure, StepResult, StepStatus
from django_runbook.runner.commands import HIDDEN

# How often the progress of a step is written, and how often it is asked whether the lock is still held.
_PROGRESS_SECONDS: Final = 1.0
_LOCK_SECONDS: Final = 1.0


@dataclass(slots=True)
class _Open:
    """A step that has begun: the row of its current attempt, and what is to be written with its end."""

    row: StepRun
    output: KeptOutput = field(default_factory=KeptOutput)
    progress: dict[str, int | None] = field(default_factory=dict)
    is_noted: bool = True


class Journal:
    """Listens to one run and writes what happens, each time before the run goes on.

    ``attempts`` are the numbers that earlier attempts of the run have used for its steps. ``lock`` is held from before
    the run says that it is running until `close`.
    """

    def __init__(
        self,
        run: Run,
        *,
        writer: Writer,
        definitions: Definitions,
        lock: Lock,
        mask: Mask,
        tell: Callable[[str], None],
        attempts: Mapping[str, int] | None = None,
    ) -> None:
        self._run = run
        self._writer = writer
        self._definitions = definitions
        self._lock = lock
        self._mask = mask
        self._tell = tell
        self._attempts = dict(attempts or {})
        self._open: dict[str, _Open] = {}
        self._ended: list[StepRun] = []
        self._captured: dict[str, object] = {}
        self._item_hashes: dict[str, str] = {}
        self._thread = threading.get_ident()
        self._depth = 0
        self._is_over = False
        self._lost: JournalLost | None = None
        self._noted_at = self._asked_at = time.monotonic()
        self._methods: dict[type[events.Event], Callable[[Any], None]] = {
            events.RunStarted: self._begin,
            events.StepStarted: self._start,
            events.StepOutputWritten: self._keep_line,
            events.StepProgress: self._keep_progress,
            events.AttemptFailed: self._fail_attempt,
            events.AttemptStarted: self._start_attempt,
            events.StepFinished: self._finish,
            events.RunFinished: self._end,
        }

    def __call__(self, event: events.Event) -> None:
        if self._lost is not None:
            raise self._lost
        method = self._methods.get(type(event))
        if method is not None:
            method(event)

    def keep_output(self, step_id: str, output: object) -> None:
        """Take what ``capture`` made of a step's output, which is stored with the step's end."""
        self._captured[step_id] = output

    def keep_item(self, step_id: str, item: object) -> None:
        """Take the item that a step is for, which is stored with the step's beginning, as its hash."""
        self._item_hashes[step_id] = digest_of(item, mask=self._mask)

    def atomically(self, step_id: str, call: Callable[[], AttemptResult]) -> AttemptResult:
        """Call in a transaction of the journal's database, in which the step's success is written too.

        Raises JournalLost where it cannot be written, or nobody knows whether it was: nothing is written any more then.
        """
        opened = self._open.get(step_id)
        if opened is None or self._writer.is_waiting:
            return atomically(call, using=self._writer.alias)
        try:
            return self._atomically(step_id, opened, call)
        except JournalLost as error:
            self._lost = error
            raise

    def _atomically(self, step_id: str, opened: _Open, call: Callable[[], AttemptResult]) -> AttemptResult:
        before = opened.row.status

        def write() -> None:
            self._writer.finish(opened.row, StepStatus.SUCCEEDED, self._columns_of_end(step_id, opened))

        result = atomically(call, using=self._writer.alias, on_success=write)
        if result.status is not StepStatus.SUCCEEDED and opened.row.status != before:
            # An error at the commit does not say whether it happened; the row does.
            if self._writer.committed(opened.row, StepStatus.SUCCEEDED):
                return AttemptResult(status=StepStatus.SUCCEEDED, stdout=result.stdout, warnings=result.warnings)
            opened.row.status = before
        return result

    def close(self) -> None:
        """Let go of the lock, also where the run broke off."""
        if self._is_over:
            self._lock.discard()
        else:
            # What it leaves says that the run died here.
            self._lock.release()

    # -- the run -----------------------------------------------------------------------------------------------------

    def _begin(self, event: events.RunStarted) -> None:
        self._depth = len(self._writer.connection.atomic_blocks)
        self._run.step_count = self._run.step_count or event.step_count
        self._writer.begin()

    def _end(self, event: events.RunFinished) -> None:
        self._flush()
        result = event.result
        self._writer.look_for_tables()
        self._writer.finish_run(
            at=event.at,
            status=result.status,
            exit_code=result.exit_code,
            reason=storable(result.reason),
            duration_seconds=result.duration_seconds,
        )
        if self._writer.is_waiting:
            self._tell("This run was not recorded: the tables of django_runbook are not there (migrate makes them).")
        self._is_over = True

    # -- steps -------------------------------------------------------------------------------------------------------

    def _start(self, event: events.StepStarted) -> None:
        self._flush()
        self._check_lock()
        is_command = event.argv is not None
        row = self._new_row(
            event.step_id,
            name=storable(event.name),
            role=event.role.value,
            kind="loop" if event.item_count is not None else "command" if is_command else "group",
            group_ids=event.group_ids,
            argv=event.argv,
            started_at=stored(event.at),
            item_hash=self._item_hashes.get(event.step_id, ""),
            file=storable(event.file),
            line=event.line,
        )
        self._writer.insert(row)
        self._open[event.step_id] = _Open(row)

    def _keep_line(self, event: events.StepOutputWritten) -> None:
        opened = self._open.get(event.step_id)
        if opened is not None:
            opened.output.add(event.line)

    def _keep_progress(self, event: events.StepProgress) -> None:
        opened = self._open.get(event.step_id)
        if opened is None:
            return
        opened.progress = {
            "done_count": event.done_count,
            "total_count": event.total_count,
            "failed_count": event.failed_count,
        }
        opened.is_noted = False
        now = time.monotonic()
        # A command may tell it from a thread of its own, whose connection is not ours.
        if now - self._noted_at < _PROGRESS_SECONDS or threading.get_ident() != self._thread:
            return
        self._noted_at = now
        if self._writer.is_in_transaction(depth=self._depth):
            return
        for one in tuple(self._open.values()):
            if not one.is_noted:
                self._writer.note(one.row, one.progress)
                one.is_noted = True

    def _fail_attempt(self, event: events.AttemptFailed) -> None:
        opened = self._open[event.step_id]
        failure = event.failure
        is_of_time = failure.exit_code == ExitCode.TIMED_OUT and failure.error_type == "TimeoutError"
        status = StepStatus.TIMED_OUT if is_of_time else StepStatus.FAILED
        changes = {"finished_at": stored(event.at), **self._columns_of_end(event.step_id, opened)}
        self._writer.finish(opened.row, status, changes | _columns_of(failure))

    def _start_attempt(self, event: events.AttemptStarted) -> None:
        before = self._open[event.step_id].row
        same = ("name", "role", "kind", "group_ids", "argv", "item_hash", "file", "line")
        row = self._new_row(
            event.step_id, started_at=stored(event.at), **{name: getattr(before, name) for name in same}
        )
        self._writer.insert(row)
        self._open[event.step_id] = _Open(row)

    def _finish(self, event: events.StepFinished) -> None:
        result = event.result
        if result.is_past:
            return
        opened = self._open.pop(result.step_id, None)
        if opened is None:
            self._ended.append(self._ended_row(event))
        elif opened.row.status in {RUNNING, StepStatus.SUCCEEDED}:
            if result.is_group:
                # Where it says that it is done, nobody looks for the steps in it again.
                self._flush()
            ended = {"finished_at": stored(event.at), "duration_seconds": result.duration_seconds}
            changes = {**ended, **self._columns_of_end(result.step_id, opened)}
            self._writer.finish(opened.row, result.status, changes | _columns_of_result(result))
        # Else it was interrupted while it waited for another attempt: the last one has failed, and says so.
        if self._writer.is_waiting:
            self._writer.look_for_tables()

    def _ended_row(self, event: events.StepFinished) -> StepRun:
        result = event.result
        entry = self._definitions.plan.outline.get(key_of(result.step_id))
        is_command = entry is not None and isinstance(entry.step, CommandStep)
        return self._new_row(
            result.step_id,
            name=storable(result.name),
            role=result.role.value,
            kind="command" if not result.is_group else "loop" if is_command else "group",
            group_ids=event.group_ids,
            item_hash=self._item_hashes.get(result.step_id, ""),
            status=result.status.value,
            file=storable(result.file),
            line=result.line,
            finished_at=stored(event.at),
            **_columns_of_result(result),
        )

    def _new_row(self, step_id: str, **columns: Any) -> StepRun:
        attempt = self._attempts.get(step_id, 0) + 1
        self._attempts[step_id] = attempt
        definition = self._definitions.of(step_id)
        return StepRun(
            run_id=self._run.pk,
            step_id=step_id,
            attempt=attempt,
            run_attempt=self._run.attempt_count,
            definition=storable(definition.text),
            definition_hash=definition.digest,
            **columns,
        )

    def _columns_of_end(self, step_id: str, opened: _Open) -> dict[str, Any]:
        """What came from the command itself."""
        columns: dict[str, Any] = {**opened.output.columns(), **opened.progress}
        if step_id in self._captured:
            columns |= self._columns_of_output(self._captured.pop(step_id))
        return columns

    def _columns_of_output(self, output: object) -> dict[str, Any]:
        if output is HIDDEN or any(self._mask(text) != text for text in (json.dumps(output), *_texts(output))):
            return {"is_output_secret": True}
        return {"output": [output]}

    def _flush(self) -> None:
        """Write the steps that ended without having begun, before anything else begins."""
        if self._ended:
            self._writer.insert_all(self._ended)
            self._ended = []

    def _check_lock(self) -> None:
        now = time.monotonic()
        if now - self._asked_at >= _LOCK_SECONDS:
            self._asked_at = now
            match settle(self._lock):
                case Kept.RETAKEN:
                    self._tell(retaken(self._lock.name))
                case Kept.LOST:
                    raise LockLost(f'the lock "{self._lock.name}" was lost, so another process may resume the run')


def _columns_of_result(result: StepResult) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    if result.tolerated:
        columns["tolerated"] = True
    if result.reason:
        columns["reason"] = storable(result.reason)
    if result.warnings:
        columns["warnings"] = [storable(warning) for warning in result.warnings]
    if result.failure is not None:
        # A group's failure is that of a step inside, where its traceback stands.
        columns |= _columns_of(result.failure, has_traceback=not result.is_group)
    elif result.status is StepStatus.SUCCEEDED:
        columns["exit_code"] = 0
    return columns


def _columns_of(failure: Failure, *, has_traceback: bool = True) -> dict[str, Any]:
    return {
        "exit_code": int(failure.exit_code),
        "error_type": storable(failure.error_type),
        "message": storable(failure.message),
        "traceback": storable(failure.traceback) if has_traceback else "",
    }


def _texts(value: object) -> Iterator[str]:
    """All texts in plain data, as they are without the escapes of JSON."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, str):
            yield one
        elif isinstance(one, dict):
            waiting += (*one, *one.values())
        elif isinstance(one, list):
            waiting += one
