"""Records the events of a run as rows: a step's row says that it is running before its command is called."""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from django_runbook import events
from django_runbook.document.loops import digest_of
from django_runbook.document.runbook import CommandStep
from django_runbook.exceptions import LockLost, RunbookError
from django_runbook.executors.messages import Commit
from django_runbook.fields import to_db_text
from django_runbook.journal.commit import RowOfSuccess
from django_runbook.journal.definitions import Definitions, key_of
from django_runbook.journal.output import KeptOutput
from django_runbook.journal.thread import Writes
from django_runbook.journal.writer import Writer
from django_runbook.locks.held import HeldLock
from django_runbook.models import RUNNING, Run, StepRun, stored
from django_runbook.process.masking import Mask
from django_runbook.results import ExitCode, Failure, StepResult, StepStatus
from django_runbook.runner.recording import HIDDEN

# How often the progress and the output of running steps are written.
_NOTE_SECONDS: Final = 1.0
_NOT_RECORDED: Final = "this run was not recorded: the tables of django_runbook do not exist (migrate creates them)"


@dataclass(slots=True)
class _Open:
    """A step that has started: the row of its current attempt, what it says, and what is written with its end."""

    row: StepRun
    status: str = RUNNING
    output: KeptOutput = field(default_factory=KeptOutput)
    progress: dict[str, int | None] = field(default_factory=dict)
    is_noted: bool = True


class Journal:
    """Listens to one run and records what happens.

    It is called from any thread, one at a time, and passes its writes to ``writes``; `wait` returns when they are done.
    ``attempts`` are the numbers that earlier attempts of the run have used for its steps. ``lock`` is held from before
    the run says that it is running until `close`.
    """

    def __init__(  # noqa: PLR0913 - what there is to a run and its history
        self,
        run: Run,
        *,
        writer: Writer,
        writes: Writes,
        definitions: Definitions,
        lock: HeldLock,
        mask: Mask,
        tell: Callable[[str], None],
        attempts: Mapping[str, int] | None = None,
    ) -> None:
        self._run = run
        self._writer = writer
        self._writes = writes
        self._definitions = definitions
        self._lock = lock
        self._mask = mask
        self._tell = tell
        self._attempts = dict(attempts or {})
        self._open: dict[str, _Open] = {}
        self._ended: list[StepRun] = []
        self._captured: dict[str, object] = {}
        self._item_hashes: dict[str, str] = {}
        self._is_over = False
        self._is_note_waiting = False
        writer.is_step_running = lambda: any(one.row.kind == "command" for one in tuple(self._open.values()))
        self._noted_at = time.monotonic()
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
        method = self._methods.get(type(event))
        if method is not None and self._writes.error is None:
            method(event)

    # -- what the runner asks for ------------------------------------------------------------------------------------

    @property
    def run_id(self) -> str:
        return str(self._run.pk)

    @property
    def withheld_params(self) -> tuple[str, ...]:
        """Return the names of the parameters that held a secret and were not recorded."""
        return tuple(self._run.options.get("withheld_params", ()))

    @property
    def alias(self) -> str:
        return self._writer.alias

    @property
    def descriptors(self) -> tuple[int, ...]:
        return (self._lock.presence.descriptor,)

    def report_waiting(self, report: Callable[[str], None]) -> None:
        """Have a database that is waited for reported, once for each time."""
        self._writer.on_wait = report

    def report_retaken(self, report: Callable[[str], None]) -> None:
        """Have it reported that the lock of the run was lost and acquired again."""
        self._lock.on_retaken = lambda: report(self._lock.name)

    def reconnect(self) -> None:
        """Write by another connection from now on."""
        self._writes.add(self._writer.reconnect)

    def wait(self) -> None:
        self._writes.wait()
        if self._lock.is_lost:
            raise LockLost(f'the lock "{self._lock.name}" was lost, so another process may resume the run')

    def is_kept(self) -> bool:
        self._flush()
        self._writes.add(self._writer.look_for_tables)
        try:
            self._writes.wait()
        except RunbookError:
            return False
        return not self._writer.is_waiting

    def keep_output(self, step_id: str, output: object) -> None:
        self._captured[step_id] = output

    def keep_item(self, step_id: str, item: object) -> None:
        self._item_hashes[step_id] = digest_of(item, mask=self._mask)

    def commit(self, step_id: str) -> Commit:
        # Its row was written before it began. The writes since then, of other branches too, may wait for a lock that
        # its transaction holds: SQLite has one for the whole database.
        if self._writes.error is not None:
            raise self._writes.error
        opened = self._open.get(step_id)
        if opened is None or self._writer.is_waiting:
            return Commit()
        changes = self._columns_of_end(step_id, opened)
        return Commit(write=RowOfSuccess(pk=opened.row.pk, status=opened.status, using=self.alias, changes=changes))

    def is_committed(self, step_id: str) -> bool:
        opened = self._open.get(step_id)
        found: list[bool] = []

        def look(row: StepRun) -> None:
            found.append(self._writer.committed(row, StepStatus.SUCCEEDED))

        if opened is not None and not self._writer.is_waiting:
            self._writes.add(functools.partial(look, opened.row))
            self._writes.wait()
        return any(found)

    def confirm_commit(self, step_id: str) -> None:
        opened = self._open.get(step_id)
        if opened is not None and not self._writer.is_waiting:
            opened.status = StepStatus.SUCCEEDED.value

    def close(self) -> None:
        """Do the writes that are left, and release the lock, even if the run ended early."""
        self._writes.close()
        # What a lock leaves says that the run died here.
        self._lock.close(is_over=self._is_over)

    # -- the run -----------------------------------------------------------------------------------------------------

    def _begin(self, event: events.RunStarted) -> None:
        self._run.step_count = self._run.step_count or event.step_count
        self._writes.add(self._writer.begin)

    def _end(self, event: events.RunFinished) -> None:
        self._flush()
        result = event.result
        reason = to_db_text("; ".join((*filter(None, (result.reason,)), *result.warnings)))
        self._is_over = True

        def end() -> None:
            self._writer.look_for_tables()
            self._writer.finish_run(
                at=event.at,
                status=result.status,
                exit_code=result.exit_code,
                reason=reason,
                duration_seconds=result.duration_seconds,
            )
            if self._writer.is_waiting:
                self._tell(_NOT_RECORDED)

        self._writes.add(end)

    # -- steps -------------------------------------------------------------------------------------------------------

    def _start(self, event: events.StepStarted) -> None:
        self._flush()
        is_command = event.argv is not None
        row = self._new_row(
            event.step_id,
            name=to_db_text(event.name),
            role=event.role.value,
            kind="loop" if event.item_count is not None else "command" if is_command else "group",
            group_ids=event.group_ids,
            argv=event.argv,
            started_at=stored(event.at),
            item_hash=self._item_hashes.get(event.step_id, ""),
            file=to_db_text(event.file),
            line=event.line,
        )
        self._insert(event.step_id, row)

    def _insert(self, step_id: str, row: StepRun) -> None:
        self._open[step_id] = _Open(row)
        self._writes.add(lambda: self._writer.insert(row))

    def _write_end(self, opened: _Open, status: StepStatus, changes: dict[str, Any]) -> None:
        before, row = opened.status, opened.row
        opened.status = status.value

        def finish() -> None:
            row.status = before
            self._writer.finish(row, status, changes)

        self._writes.add(finish)

    def _keep_line(self, event: events.StepOutputWritten) -> None:
        opened = self._open.get(event.step_id)
        if opened is not None:
            opened.output.add(event.line)
            opened.is_noted = False
            self._note()

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
        self._note()

    def _note(self) -> None:
        """Have it written how far the running steps are and what they have printed, at most once a second."""
        if not self._is_note_waiting and self._writer.can_note():
            seconds = self._noted_at + _NOTE_SECONDS - time.monotonic()
            self._is_note_waiting = self._writes.add_later(self._write_notes, seconds=seconds)

    def _write_notes(self) -> None:
        self._is_note_waiting = False
        self._noted_at = time.monotonic()
        for one in tuple(self._open.values()):
            # Between two attempts, the row of the first one has ended.
            if one.status == RUNNING and one.row.pk is not None and not one.is_noted:
                one.is_noted = True
                self._writer.note(one.row, {**one.output.columns(), **one.progress})

    def _fail_attempt(self, event: events.AttemptFailed) -> None:
        opened = self._open[event.step_id]
        failure = event.failure
        is_of_time = failure.exit_code == ExitCode.TIMED_OUT and failure.error_type == "TimeoutError"
        status = StepStatus.TIMED_OUT if is_of_time else StepStatus.FAILED
        changes = {"finished_at": stored(event.at), **self._columns_of_end(event.step_id, opened)}
        self._write_end(opened, status, changes | _columns_of(failure))

    def _start_attempt(self, event: events.AttemptStarted) -> None:
        before = self._open[event.step_id].row
        same = ("name", "role", "kind", "group_ids", "argv", "item_hash", "file", "line")
        row = self._new_row(
            event.step_id, started_at=stored(event.at), **{name: getattr(before, name) for name in same}
        )
        self._insert(event.step_id, row)

    def _finish(self, event: events.StepFinished) -> None:
        result = event.result
        if result.is_past:
            return
        opened = self._open.pop(result.step_id, None)
        if opened is None:
            self._ended.append(self._ended_row(event))
        elif opened.status in {RUNNING, StepStatus.SUCCEEDED}:
            if result.is_group:
                # Where it says that it is done, nobody looks for the steps in it again.
                self._flush()
            ended = {"finished_at": stored(event.at), "duration_seconds": result.duration_seconds}
            changes = {**ended, **self._columns_of_end(result.step_id, opened)}
            self._write_end(opened, result.status, changes | _columns_of_result(result))
        # Else it was interrupted while it waited for another attempt: the last one has failed, and says so.
        if self._writer.is_waiting:
            self._writes.add(self._writer.look_for_tables)

    def _ended_row(self, event: events.StepFinished) -> StepRun:
        result = event.result
        entry = self._definitions.plan.outline.get(key_of(result.step_id))
        is_command = entry is not None and isinstance(entry.step, CommandStep)
        return self._new_row(
            result.step_id,
            name=to_db_text(result.name),
            role=result.role.value,
            kind="command" if not result.is_group else "loop" if is_command else "group",
            group_ids=event.group_ids,
            item_hash=self._item_hashes.get(result.step_id, ""),
            status=result.status.value,
            file=to_db_text(result.file),
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
            definition=to_db_text(definition.text),
            definition_hash=definition.digest,
            **columns,
        )

    def _columns_of_end(self, step_id: str, opened: _Open) -> dict[str, Any]:
        """Return what came from the command itself."""
        columns: dict[str, Any] = {**opened.output.columns(), **opened.progress}
        if step_id in self._captured:
            columns |= self._columns_of_output(self._captured.pop(step_id))
        return columns

    def _columns_of_output(self, output: object) -> dict[str, Any]:
        if output is HIDDEN or any(self._mask(text) != text for text in (json.dumps(output), *_texts(output))):
            return {"is_output_secret": True}
        return {"output": [output]}

    def _flush(self) -> None:
        """Write the steps that ended without having started, before anything else starts."""
        if self._ended:
            ended, self._ended = self._ended, []
            self._writes.add(lambda: self._writer.insert_all(ended))


def _columns_of_result(result: StepResult) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    if result.ignored:
        columns["ignored"] = True
    if result.reason:
        columns["reason"] = to_db_text(result.reason)
    if result.warnings:
        columns["warnings"] = [to_db_text(warning) for warning in result.warnings]
    if result.failure is not None:
        # A group's failure is that of a step inside, where its traceback stands.
        columns |= _columns_of(result.failure, has_traceback=not result.is_group)
    elif result.status is StepStatus.SUCCEEDED:
        columns["exit_code"] = 0
    return columns


def _columns_of(failure: Failure, *, has_traceback: bool = True) -> dict[str, Any]:
    return {
        "exit_code": int(failure.exit_code),
        "error_type": to_db_text(failure.error_type),
        "message": to_db_text(failure.message),
        "traceback": to_db_text(failure.traceback) if has_traceback else "",
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
