"""A run to all that its page shows."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from django.utils import timezone
from django.utils.safestring import SafeString

from django_runbook.journal.liveness import ProcessState, displayed_status, process_state_of
from django_runbook.locks.factory import Locks
from django_runbook.models import RUNNING, UNFINISHED, Run, seconds_between
from django_runbook.pages import words
from django_runbook.pages.attempts import Attempts, attempts_of
from django_runbook.pages.failures import failed_rows_of
from django_runbook.pages.timeline import Frame, Row, Share, Timeline, shares, timeline_of
from django_runbook.reporters.texts import duration
from django_runbook.results import StepStatus

_MAX_FAILURES = 5
# A row may be stored a little after one whose time is later.
_SLACK_SECONDS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One line of what is known of a run; ``is_code`` is for what a program reads."""

    label: str
    value: str
    is_code: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Urls:
    """From the key of an attempt to its page, and from the scope of a batch command to its failed rows; None where the
    person may not see them."""

    step: Callable[[int], str]
    failed_rows: Callable[[str], str] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """How much of a run a page has shown: which attempt of the run, the newest row, and the latest time in any."""

    run_attempt: int
    pk: int
    at: float

    @classmethod
    def of_text(cls, text: str) -> Self | None:
        """The cursor that a page was given; None where it is none."""
        run_attempt, _, rest = text.partition("-")
        pk, _, at = rest.partition("-")
        try:
            return cls(run_attempt=int(run_attempt), pk=int(pk), at=float(at))
        except ValueError:
            return None

    def __str__(self) -> str:
        return f"{self.run_attempt}-{self.pk}-{self.at:.3f}"

    def is_behind(self, row: Row) -> bool:
        """Whether a row may have changed since."""
        if row.look == RUNNING or row.pk > self.pk:
            return True
        return row.changed_at is not None and row.changed_at.timestamp() >= self.at - _SLACK_SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPage:
    """What there is to show of a run at a moment; without a timeline where the person may not see its steps."""

    run: Run
    process_state: ProcessState
    attempts: Attempts | None
    timeline: Timeline | None

    @property
    def look(self) -> str:
        return displayed_status(self.run, self.process_state)

    @property
    def badge(self) -> SafeString:
        return words.badge(self.look)

    @property
    def is_live(self) -> bool:
        """Whether more is to come."""
        return self.look == RUNNING

    @property
    def is_life_unknown(self) -> bool:
        return self.process_state is ProcessState.UNKNOWN

    @property
    def is_gone(self) -> bool:
        return self.process_state is ProcessState.DEAD

    @property
    def resume_line(self) -> str:
        """Return the command line that resumes it; empty if it cannot be resumed."""
        return words.resume_line(self.run) if self.look in UNFINISHED else ""

    @property
    def doubts(self) -> list[str]:
        """Return the ids of the commands that were interrupted, about which a resumed run may ask."""
        if self.look not in UNFINISHED or self.timeline is None:
            return []
        interrupted = StepStatus.INTERRUPTED.value
        return [row.step_id for row in self.timeline.rows if row.is_command and row.bars and row.look == interrupted]

    @property
    def left_out(self) -> str:
        """What is not shown because it is too much; empty where all is."""
        if self.attempts is None:
            return ""
        counts = ((self.attempts.succeeded_count, "that succeeded"), (self.attempts.cut_count, "others"))
        return " and ".join(f"{words.number(count)} {which}" for count, which in counts if count)

    @property
    def shares(self) -> list[Share]:
        if self.timeline is None or self.attempts is None:
            return []
        return shares(self.timeline.rows, step_count=self.run.step_count, succeeded_count=self.attempts.succeeded_count)

    @property
    def counts(self) -> str:
        """How many of its steps are in which state, in words."""
        counts = [f"{words.number(share.count)} {share.label}" for share in self.shares]
        if self.attempts is not None and self.attempts.cut_count:
            counts.append(f"{words.number(self.attempts.cut_count)} that are not counted")
        return ", ".join(counts)

    @property
    def to_come(self) -> str:
        """How many steps have no row yet; empty where there are none."""
        count = self.run.step_count - sum(share.count for share in self.shares)
        return words.number(count) if self.is_live and count > 0 else ""

    @property
    def failures(self) -> list[Row]:
        """The steps for which it failed, and not too many of them."""
        return self.timeline.failures[:_MAX_FAILURES] if self.timeline else []

    @property
    def has_failures(self) -> bool:
        """Whether one of them was not allowed to fail."""
        return any(row.is_failure for row in self.failures)

    @property
    def started(self) -> str:
        return words.moment(self.run.started_at)

    @property
    def resumed(self) -> str:
        return words.moment(self.run.resumed_at) if self.run.resumed_at is not None else ""

    @property
    def more_failures_count(self) -> int:
        return max(0, len(self.timeline.failures) - _MAX_FAILURES) if self.timeline else 0

    @property
    def took(self) -> str:
        """How long it has been at work, in all of its attempts."""
        return duration(self.timeline.axis.seconds) if self.timeline else took(self.run, self.process_state)

    @property
    def cursor(self) -> Cursor:
        rows = self.timeline.rows if self.timeline else ()
        times = [row.changed_at.timestamp() for row in rows if row.changed_at is not None]
        newest = max((row.pk for row in rows), default=0)
        return Cursor(run_attempt=self.run.attempt_count, pk=newest, at=max(times, default=0.0))

    def changed_since(self, cursor: Cursor | None) -> list[tuple[Row, int]]:
        """The rows that a page with this cursor has to draw anew, each with the key of the row before it, or 0."""
        rows = self.timeline.rows if self.timeline else ()
        before = (0, *(row.key for row in rows))
        # What ended, or was taken over, left rows that say other things than they did, at no time that can be told.
        is_whole = cursor is None or not self.is_live or cursor.run_attempt != self.run.attempt_count
        return [
            (row, key)
            for row, key in zip(rows, before, strict=False)
            if is_whole or (cursor is not None and cursor.is_behind(row))
        ]

    @property
    def facts(self) -> list[Fact]:
        """What is known of it besides its steps, without what is empty."""
        run = self.run
        facts = [
            Fact(label="Run", value=run.id, is_code=True),
            Fact(label="Runbook", value=run.runbook, is_code=True),
            Fact(label="File", value=run.file if run.file != run.runbook else "", is_code=True),
            Fact(label="Git commit", value=run.git_commit[:12], is_code=True),
            Fact(label="Digest of the file", value=run.file_hash[:12], is_code=True),
            Fact(label="Started by", value=f"{run.user}@{run.host}" if run.user else run.host),
            Fact(label="Process", value=str(run.pid)),
            Fact(label="Value of now", value=run.now, is_code=True),
            Fact(label="Lock kept by", value=run.lock_backend, is_code=True),
        ]
        facts += [
            Fact(label=name.replace("_", "-"), value=words.plain(value), is_code=True)
            for name, value in run.options.items()
            if value and name != "withheld_params"
        ]
        return [fact for fact in facts if fact.value]

    @property
    def params(self) -> list[Fact]:
        """Its parameters; those whose values held a secret were never stored."""
        withheld = self.run.options.get("withheld_params", ())
        return [
            *(Fact(label=name, value=words.plain(value), is_code=True) for name, value in self.run.params.items()),
            *(Fact(label=name, value="not recorded, it held a secret") for name in withheld),
        ]


def took(run: Run, process_state: ProcessState) -> str:
    """Write how long the last attempt of a run took, or takes."""
    if run.finished_at is None and process_state is not ProcessState.DEAD:
        return words.took(seconds_between(run.resumed_at or run.started_at, timezone.now()))
    return words.took(run.took_seconds)


def run_page(run: Run, *, new_lock: Locks, urls: Urls | None) -> RunPage:
    """The page of a run; ``urls`` is None for a person who may not see its steps."""
    process_state = process_state_of(run, new_lock)
    if urls is None:
        return RunPage(run=run, process_state=process_state, attempts=None, timeline=None)
    attempts = attempts_of(run)
    failed = {}
    if urls.failed_rows is not None:
        failed = failed_rows_of(run, {row.step_id for row in attempts.rows}, url_of=urls.failed_rows)
    frame = Frame(
        now=_now(process_state), is_gone=process_state is ProcessState.DEAD, url_of=urls.step, failed_rows=failed
    )
    return RunPage(
        run=run, process_state=process_state, attempts=attempts, timeline=timeline_of(run, attempts.rows, frame)
    )


def _now(process_state: ProcessState) -> datetime.datetime | None:
    return timezone.now() if process_state in {ProcessState.ALIVE, ProcessState.UNKNOWN} else None
