"""Prepares the page of a run."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Self

from django.utils import timezone
from django.utils.safestring import SafeString

from django_runbook import clock, wording
from django_runbook.journal.liveness import ProcessState, displayed_status, process_state_of
from django_runbook.journal.reading.stored_comparison import UNREADABLE, forecast_of, notices_of
from django_runbook.locks.factory import Locks
from django_runbook.models import RUNNING, UNFINISHED, Run, seconds_between
from django_runbook.pages import formatting
from django_runbook.pages.attempt_rows import Attempts, attempts_of
from django_runbook.pages.failed_row_links import failed_rows_of
from django_runbook.pages.timeline import Row, RowContext, StatusShare, Timeline, shares, timeline_of
from django_runbook.pages.worker_texts import worker_texts_of
from django_runbook.results import StepStatus
from django_runbook.structs import Struct

_MAX_FAILURES = 5
# A row may be stored slightly after a row with a later time.
_SLACK_SECONDS = 10.0


class Fact(Struct):
    """Describes one property of a run; ``is_code`` marks values that programs read."""

    label: str
    value: str
    is_code: bool = False


class Urls(Struct):
    """Returns the URL of an attempt by its key, and of failed rows by their scope.

    ``failed_rows`` is None for a user without permission to view failed rows.
    """

    step: Callable[[int], str]
    failed_rows: Callable[[str], str] | None


class Cursor(Struct):
    """Records how much of a run a page has shown: the attempt of the run, the newest row, and the latest time."""

    run_attempt: int
    pk: int
    at: float

    @classmethod
    def of_text(cls, text: str) -> Self | None:
        """Parse the cursor of a page; None if it is invalid."""
        run_attempt, _, rest = text.partition("-")
        pk, _, at = rest.partition("-")
        try:
            return cls(run_attempt=int(run_attempt), pk=int(pk), at=float(at))
        except ValueError:
            return None

    def __str__(self) -> str:
        return f"{self.run_attempt}-{self.pk}-{self.at:.3f}"

    def may_precede(self, row: Row) -> bool:
        """Return whether a row may have changed since."""
        if row.status == RUNNING or row.pk > self.pk:
            return True
        return row.changed_at is not None and row.changed_at.timestamp() >= self.at - _SLACK_SECONDS


class RunPage(Struct):
    """Holds the content of the page; ``timeline`` is None for a user without permission to view steps."""

    run: Run
    process_state: ProcessState
    attempts: Attempts | None
    timeline: Timeline | None

    @property
    def status(self) -> str:
        return displayed_status(self.run, self.process_state)

    @property
    def badge(self) -> SafeString:
        return formatting.badge(self.status)

    @property
    def is_live(self) -> bool:
        """Return whether the run is still running."""
        return self.status == RUNNING

    @property
    def is_process_state_unknown(self) -> bool:
        return self.process_state is ProcessState.UNKNOWN

    @property
    def is_dead(self) -> bool:
        return self.process_state is ProcessState.DEAD

    @property
    def resume_line(self) -> str:
        """Return the command line that resumes it; empty if it cannot be resumed."""
        return formatting.resume_line(self.run) if self.status in UNFINISHED else ""

    @property
    def doubts(self) -> list[str]:
        """Return the IDs of interrupted commands, about which a resume may ask."""
        if self.status not in UNFINISHED or self.timeline is None:
            return []
        interrupted = StepStatus.INTERRUPTED.value
        return [row.step_id for row in self.timeline.rows if row.is_command and row.bars and row.status == interrupted]

    @property
    def omitted(self) -> str:
        """Count the steps that are too many to show; empty if all are shown."""
        if self.attempts is None:
            return ""
        counts = ((self.attempts.succeeded_count, "successful"), (self.attempts.other_count, "other"))
        return " and ".join(f"{formatting.number(count)} {kind}" for count, kind in counts if count)

    @property
    def shares(self) -> list[StatusShare]:
        if self.timeline is None or self.attempts is None:
            return []
        return shares(self.timeline.rows, step_count=self.run.step_count, succeeded_count=self.attempts.succeeded_count)

    @property
    def counts(self) -> str:
        """Count the steps by status."""
        counts = [f"{formatting.number(share.count)} {share.label}" for share in self.shares]
        if self.attempts is not None and self.attempts.other_count:
            counts.append(f"{formatting.number(self.attempts.other_count)} not counted")
        return ", ".join(counts)

    @property
    def remaining(self) -> str:
        """Count the steps without a row; empty if there are none."""
        count = self.run.step_count - sum(share.count for share in self.shares)
        return formatting.number(count) if self.is_live and count > 0 else ""

    @property
    def failures(self) -> list[Row]:
        """Return the first steps that failed, or whose failures were ignored."""
        return self.timeline.failures[:_MAX_FAILURES] if self.timeline else []

    @property
    def has_failures(self) -> bool:
        """Return whether a failure was not ignored."""
        return any(row.is_failure for row in self.failures)

    @property
    def started(self) -> str:
        return formatting.moment(self.run.started_at)

    @property
    def resumed(self) -> str:
        return formatting.moment(self.run.resumed_at) if self.run.resumed_at is not None else ""

    @property
    def more_failures_count(self) -> int:
        return max(0, len(self.timeline.failures) - _MAX_FAILURES) if self.timeline else 0

    @property
    def took(self) -> str:
        """Return the time during which it was running, over all of its attempts."""
        return (
            wording.short_duration(self.timeline.axis.seconds) if self.timeline else took(self.run, self.process_state)
        )

    @property
    def forecast(self) -> str:
        """Return what the run usually takes, and when it would end then; empty if that is unknown."""
        if self.run.forecast is None or self.run.attempt_count > 1:
            return ""
        known = forecast_of(self.run.forecast)
        if known is None:
            return UNREADABLE
        usual = wording.usually(known.seconds, known.most_seconds, run_count=known.run_count)
        if not self.is_live:
            return usual
        end = clock.later(local(self.run.started_at), known.seconds)
        return f"{usual}; ends at about {wording.clock_time(end, now=local(timezone.now()))}"

    @property
    def unusual(self) -> list[str]:
        """Return what is unlike earlier runs."""
        return [f"{step_id}: {text}" for step_id, text in notices_of(self.run.unusual)]

    @property
    def cursor(self) -> Cursor:
        rows = self.timeline.rows if self.timeline else ()
        times = [row.changed_at.timestamp() for row in rows if row.changed_at is not None]
        newest = max((row.pk for row in rows), default=0)
        return Cursor(run_attempt=self.run.attempt_count, pk=newest, at=max(times, default=0.0))

    def changed_since(self, cursor: Cursor | None) -> list[tuple[Row, int]]:
        """Return the rows that a page with this cursor must redraw, each with the key of the row before it, or 0."""
        rows = self.timeline.rows if self.timeline else ()
        before = (0, *(row.key for row in rows))
        # The end of a run and a resume change the display of rows without changing their times.
        is_complete = cursor is None or not self.is_live or cursor.run_attempt != self.run.attempt_count
        return [
            (row, key)
            for row, key in zip(rows, before, strict=False)
            if is_complete or (cursor is not None and cursor.may_precede(row))
        ]

    @property
    def facts(self) -> list[Fact]:
        """Return the known facts about the run."""
        run = self.run
        facts = [
            Fact(label="Run", value=run.id, is_code=True),
            Fact(label="Runbook", value=run.runbook, is_code=True),
            Fact(label="File", value=run.file if run.file != run.runbook else "", is_code=True),
            Fact(label="Git commit", value=run.git_commit[:12], is_code=True),
            Fact(label="File digest", value=run.file_hash[:12], is_code=True),
            Fact(label="Started by", value=f"{run.user}@{run.host}" if run.user else run.host),
            Fact(label="Process", value=str(run.pid)),
            Fact(label="Value of now", value=run.now, is_code=True),
            Fact(label="Lock backend", value=run.lock_backend, is_code=True),
        ]
        facts += [
            Fact(label=f"--{name.replace('_', '-')}", value=formatting.value_text(value), is_code=True)
            for name, value in run.options.items()
            if value and name not in {"withheld_params", "env"}
        ]
        return [fact for fact in facts if fact.value]

    @property
    def params(self) -> list[Fact]:
        """Return the parameters and environment variables; values that contained a secret were not stored."""
        withheld = self.run.options.get("withheld_params", ())
        env = self.run.options.get("env", {})
        return [
            *(
                Fact(label=name, value=formatting.value_text(value), is_code=True)
                for name, value in self.run.params.items()
            ),
            *(Fact(label=name, value="not recorded, because it contained a secret") for name in withheld),
            *(
                Fact(label=f"env.{name}", value=formatting.value_text(value), is_code=True)
                for name, value in env.items()
                if value is not None
            ),
        ]


def local(at: datetime.datetime) -> datetime.datetime:
    """Return a stored time, or the current one, in the time zone of the project."""
    return timezone.localtime(at if timezone.is_aware(at) else timezone.make_aware(at))


def took(run: Run, process_state: ProcessState) -> str:
    """Format the duration of the last attempt of a run, which may still be running."""
    if run.finished_at is None and process_state is not ProcessState.DEAD:
        return formatting.took(seconds_between(run.resumed_at or run.started_at, timezone.now()))
    return formatting.took(run.took_seconds)


def run_page(run: Run, *, new_lock: Locks, urls: Urls | None) -> RunPage:
    """Create the page of a run; ``urls`` is None for a user without permission to view steps."""
    process_state = process_state_of(run, new_lock)
    if urls is None:
        return RunPage(run=run, process_state=process_state, attempts=None, timeline=None)
    attempts = attempts_of(run)
    failed, step_ids = {}, {row.step_id for row in attempts.rows}
    if urls.failed_rows is not None:
        failed = failed_rows_of(run, step_ids, url_of=urls.failed_rows)
    context = RowContext(
        now=_now(process_state),
        is_dead=process_state is ProcessState.DEAD,
        url_of=urls.step,
        failed_rows=failed,
        workers=worker_texts_of(run, step_ids),
    )
    return RunPage(
        run=run, process_state=process_state, attempts=attempts, timeline=timeline_of(run, attempts.rows, context)
    )


def _now(process_state: ProcessState) -> datetime.datetime | None:
    return timezone.now() if process_state in {ProcessState.ALIVE, ProcessState.UNKNOWN} else None
