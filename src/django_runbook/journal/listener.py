"""Records a run in the database: listens to its events, and waits for writes that must precede the next command."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from django_runbook import events
from django_runbook.cleaning import Mask
from django_runbook.exceptions import JournalLost, LockLost, RunbookError
from django_runbook.journal.definitions import Definitions
from django_runbook.journal.new_rows import NewRows
from django_runbook.journal.steps import StepJournal
from django_runbook.journal.success_write import SuccessWrite
from django_runbook.journal.write_queue import Writes
from django_runbook.journal.writer import Writer
from django_runbook.locks.held import HeldLock
from django_runbook.models import Run
from django_runbook.models.fields import to_db_text

_Answer = TypeVar("_Answer")
_NOT_RECORDED: Final = "this run was not recorded: the tables of django_runbook do not exist (migrate creates them)"


class Journal:
    """Listens to one run and records it.

    It is called from any thread, one at a time, and passes its writes to ``writes``; `wait` returns when they are done.
    ``lock`` is held from before the row says that the run is running until `close`. ``attempts`` are the attempt
    numbers that earlier attempts of the run have used for its steps.
    """

    def __init__(  # noqa: PLR0913 - the run and everything that its history contains
        self,
        run: Run,
        *,
        writer: Writer,
        writes: Writes,
        definitions: Definitions,
        lock: HeldLock,
        mask: Mask,
        warn: Callable[[str], None],
        attempts: Mapping[str, int] | None = None,
    ) -> None:
        self._run = run
        self._writer = writer
        self._writes = writes
        self._lock = lock
        self._warn = warn
        self._is_over = False
        self._unusual: list[dict[str, str]] = list(run.unusual) if isinstance(run.unusual, list) else []
        self._new_rows = NewRows(run, definitions=definitions, attempts=attempts or {})
        steps = StepJournal(writer=writer, writes=writes, new_rows=self._new_rows, mask=mask)
        self._steps = steps
        writer.connection.is_step_running = steps.is_command_running
        self._methods: dict[type[events.Event], Callable[[Any], None]] = {
            events.RunStarted: self._begin,
            events.ForecastMade: self._keep_forecast,
            events.UnusualNoticed: self._keep_unusual,
            **steps.methods,
            events.RunFinished: self._end,
        }

    def __call__(self, event: events.Event) -> None:
        method = self._methods.get(type(event))
        if method is not None and self._writes.error is None:
            method(event)

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
        """Call ``report`` with the reason whenever a write waits for the database."""
        self._writer.connection.on_wait = report

    def report_retaken(self, report: Callable[[str], None]) -> None:
        """Call ``report`` whenever the lock of the run was lost and acquired again."""
        self._lock.on_retaken = lambda: report(self._lock.name)

    def reconnect(self) -> None:
        """Open a new connection for the next write."""
        self._writes.add(self._writer.connection.reconnect)

    def wait(self) -> None:
        self._writes.wait()
        if self._lock.is_lost:
            raise LockLost(f'the lock "{self._lock.name}" was lost, so another process may resume the run')

    def ask(self, question: Callable[[str], _Answer]) -> _Answer | None:
        """Return what a question, which gets the database, finds in it; None while the tables do not exist."""
        found: list[_Answer] = []

        def ask() -> None:
            if self._writer.is_waiting:
                return
            connection = self._writer.connection
            try:
                found.append(connection.execute(lambda is_repeated: question(self.alias)))
            except JournalLost:
                # The run may be about to migrate the tables of an earlier release, which are enough to record it.
                if connection.execute(lambda is_repeated: connection.find_tables()):
                    raise

        self._writes.add(ask)
        self._writes.wait()
        return found[0] if found else None

    def ask_later(self, question: Callable[[str], None]) -> None:
        """Call ``question`` with the database between two writes, unless the tables do not exist."""

        def ask() -> None:
            if not self._writer.is_waiting:
                question(self.alias)

        self._writes.add(ask)

    def call_later(self, call: Callable[[], None], *, seconds: float) -> None:
        """Call a function after a time, unless the run has ended, or has no thread for its writes."""
        self._writes.add_later(call, seconds=seconds)

    def definition_of(self, step_id: str) -> str:
        """Return the digest of the definition of a step."""
        return self._new_rows.definition_of(step_id)

    def captured_of(self, step_id: str) -> list[object] | None:
        """Return the captured output of a running step, as a list with one value; None without one."""
        return self._steps.captured_of(step_id)

    def keep_figures(self, figures: str, *, kind: str) -> None:
        """Store the figures with the end of the run."""
        self._run.figures, self._run.figures_kind = figures, kind

    def is_recorded(self) -> bool:
        self._steps.flush()
        self._writes.add(self._writer.write_if_ready)
        try:
            self._writes.wait()
        except RunbookError:
            return False
        return not self._writer.is_waiting

    def keep_output(self, step_id: str, output: object) -> None:
        self._steps.keep_output(step_id, output)

    def withhold_output(self, step_id: str) -> None:
        self._steps.withhold_output(step_id)

    def keep_item(self, step_id: str, item: object) -> None:
        self._new_rows.keep_item(step_id, item)

    def success_write(self, step_id: str) -> SuccessWrite | None:
        return self._steps.success_write(step_id)

    def is_committed(self, step_id: str) -> bool:
        return self._steps.is_committed(step_id)

    def confirm_commit(self, step_id: str) -> None:
        self._steps.confirm_commit(step_id)

    def attempt_of(self, step_id: str) -> int:
        return self._new_rows.attempt_of(step_id)

    def close(self) -> None:
        """Finish the pending writes and release the lock, even if the run ended early."""
        self._writes.close()
        # A lock file that remains shows that the process died during the run.
        self._lock.close(is_over=self._is_over)

    def _begin(self, event: events.RunStarted) -> None:
        self._run.step_count = self._run.step_count or event.step_count
        self._writes.add(self._writer.begin)

    def _keep_forecast(self, event: events.ForecastMade) -> None:
        forecast = {"seconds": event.usual_seconds, "most_seconds": event.most_seconds, "run_count": event.run_count}
        self._writes.add(lambda: self._writer.note_run(forecast=forecast))

    def _keep_unusual(self, event: events.UnusualNoticed) -> None:
        self._steps.keep_unusual(event)
        self._unusual.append({"step_id": event.step_id, "kind": event.kind, "text": to_db_text(event.text)})
        unusual = list(self._unusual)
        self._writes.add(lambda: self._writer.note_run(unusual=unusual))

    def _end(self, event: events.RunFinished) -> None:
        self._steps.flush()
        result = event.result
        reason = to_db_text("; ".join((*filter(None, (result.reason,)), *result.warnings)))
        self._is_over = True

        def end() -> None:
            self._writer.write_if_ready()
            self._writer.finish_run(
                at=event.at,
                status=result.status,
                exit_code=result.exit_code,
                reason=reason,
                duration_seconds=result.duration_seconds,
            )
            if self._writer.is_waiting:
                self._warn(_NOT_RECORDED)

        self._writes.add(end)
