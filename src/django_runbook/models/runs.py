"""Stores runs and their steps."""

from __future__ import annotations

import datetime
import zoneinfo
from typing import Any, ClassVar, Final, Self

from django.conf import settings
from django.db import models, transaction
from django.utils import timezone

from django_runbook.models import statements
from django_runbook.models.fields import JSONText, to_db_text
from django_runbook.results import Role, RunStatus, StepStatus

RUNNING: Final = "running"
# Short enough for an index of MariaDB.
MAX_ID_LENGTH: Final = 400


def stored(at: datetime.datetime) -> datetime.datetime:
    """Return an aware time as the columns of this project store it: naive without ``USE_TZ``."""
    return at if settings.USE_TZ else timezone.make_naive(at)


def seconds_between(begin: datetime.datetime | None, end: datetime.datetime | None) -> float | None:
    """Return the time between two clock readings, which may be from different hosts or before a change of the clock."""
    return None if begin is None or end is None else max(0.0, (end - begin).total_seconds())


def seconds_taken(
    begin: datetime.datetime | None, end: datetime.datetime | None, *, measured: float | None
) -> float | None:
    """Return a duration as measured, or by the difference of the times if it was not measured."""
    return measured if end is None or measured is not None else seconds_between(begin, end)


class RunQuerySet(models.QuerySet["Run"]):
    """Names the queries over runs."""

    def of(self, runbook: str) -> Self:
        """Keep the runs of a runbook."""
        # The name of its file may have bytes that are no text, which are stored in another form.
        return self.filter(runbook=to_db_text(runbook))

    def named(self, name: str) -> Self:
        """Keep the runs of a runbook given by its key, its name, its file, or the stem of its file."""
        name, suffixes = to_db_text(name), models.Q()
        for suffix in ("", ".yml", ".yaml"):
            suffixes |= models.Q(runbook=name + suffix) | models.Q(file=name + suffix)
        return self.filter(suffixes | models.Q(name=name))

    def comparable(self, kind: str) -> Self:
        """Keep the runs that have figures and are of a kind."""
        return self.filter(figures_kind=kind)

    def newest_first(self) -> Self:
        """Order by the start, newest first."""
        return self.order_by("-started_at", "-pk")

    def begun(self) -> Self:
        """Keep the runs that started a step; handlers, skipped steps and steps that were not run do not count."""
        steps = StepRun.objects.filter(run=models.OuterRef("pk"), role=Role.STEP.value)
        ended = models.Q(status__in=(StepStatus.SUCCEEDED, StepStatus.FAILED, StepStatus.TIMED_OUT))
        # A group may have started although no command in it was called.
        was_called = models.Q(kind="command", started_at__isnull=False)
        return self.filter(models.Exists(steps.filter(ended | was_called)))

    def unfinished(self) -> Self:
        """Keep the runs that can be resumed; ``running`` ones only if their process is dead."""
        return self.begun().filter(status__in=(RUNNING, *UNFINISHED))


# Statuses from which a run can be resumed, besides ``running`` with a dead process.
UNFINISHED: Final = (RunStatus.FAILED.value, RunStatus.INTERRUPTED.value)


class Run(models.Model):
    """Stores one run of a runbook with all its attempts: a resumed run is the same run.

    ``owner`` is the token of the process that may write to the run; ``now`` is the value of ``now`` in expressions.
    """

    # The statuses that may follow each status.
    MOVES: ClassVar[dict[str, tuple[str, ...]]] = {
        # it ended; or its process died, and it is resumed
        RUNNING: (*(status.value for status in RunStatus), RUNNING),
        RunStatus.FAILED.value: (RUNNING,),  # it is resumed
        RunStatus.INTERRUPTED.value: (RUNNING,),  # it is resumed
        RunStatus.SUCCEEDED.value: (),  # nothing is left to do
        RunStatus.WARNING.value: (),  # its failures were ignored
        RunStatus.REFUSED.value: (),  # nothing was run
    }

    id = models.CharField(primary_key=True, max_length=32)
    runbook = models.CharField(max_length=500, help_text="A key that is the same in all releases of the project.")
    name = models.TextField()
    file = models.TextField()
    file_hash = models.CharField(max_length=64)
    git_commit = models.CharField(max_length=64, blank=True)
    params = JSONText(default=dict)
    options = JSONText(default=dict)
    now = models.CharField(max_length=100)
    status = models.CharField(max_length=20, default=RUNNING)
    exit_code = models.SmallIntegerField(null=True)
    reason = models.TextField(blank=True)
    step_count = models.PositiveIntegerField(default=0)
    attempt_count = models.PositiveIntegerField(default=1)
    started_at = models.DateTimeField()
    resumed_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    duration_seconds = models.FloatField(
        null=True, help_text="The duration of the last attempt, measured by a monotonic clock."
    )
    forecast = JSONText(null=True, help_text="What the run usually takes, by its history when it started.")
    # Read as text: other readers of a run need not parse what may be the figures of 500 steps.
    figures = models.TextField(
        blank=True, help_text="What the run and its steps took; empty if the run cannot be compared with others."
    )
    figures_kind = models.CharField(
        max_length=12, blank=True, help_text="The flags and choices of a run with figures, as a digest."
    )
    unusual = JSONText(default=list, help_text="What is unlike earlier runs, each with the ID of its step.")
    lock_backend = models.TextField(
        blank=True, help_text="The backend of the lock that shows whether the run is alive."
    )
    host = models.CharField(max_length=255)
    pid = models.PositiveBigIntegerField()
    user = models.CharField(max_length=150, blank=True)
    owner = models.CharField(max_length=32)

    objects = RunQuerySet.as_manager()

    class Meta:
        indexes = (
            models.Index(fields=["started_at"], name="runbook_run_started"),
            models.Index(fields=["runbook", "started_at"], name="runbook_run_runbook"),
            # In the order of the query, which then depends on no statistics of the database.
            models.Index(fields=["runbook", "figures_kind", "started_at", "id"], name="runbook_run_comparable"),
            models.Index(fields=["status", "started_at"], name="runbook_run_status"),
        )

    def __str__(self) -> str:
        return f"{self.name} ({self.id[:8]}): {self.status}"

    @property
    def lock_name(self) -> str:
        """Return the name of the lock that its process holds until it ends."""
        return f"run {self.id}"

    @property
    def took_seconds(self) -> float | None:
        """Return the duration of the last attempt; None if it has not ended."""
        return seconds_taken(self.resumed_at or self.started_at, self.finished_at, measured=self.duration_seconds)

    def began(self) -> datetime.datetime:
        """Return ``now`` in its original time zone."""
        text, _, zone = self.now.partition(" ")
        at = datetime.datetime.fromisoformat(text)
        try:
            return at.astimezone(zoneinfo.ZoneInfo(zone)) if zone else at
        except (zoneinfo.ZoneInfoNotFoundError, ValueError):
            return at

    def begin(self, at: datetime.datetime) -> None:
        """Set the start, without storing it."""
        self.started_at = stored(at)
        zone = str(at.tzinfo) if isinstance(at.tzinfo, zoneinfo.ZoneInfo) else ""
        self.now = f"{at.isoformat()} {zone}".strip()

    def take_over(self, owner: str, *, using: str, at: datetime.datetime, **more: Any) -> bool:
        """Make this process the owner; return False if another process was faster.

        Steps that the previous owner left running become interrupted. ``more`` has further changed columns.
        """
        before = Run.objects.using(using).filter(pk=self.pk, owner=self.owner, attempt_count=self.attempt_count)
        changes: dict[str, Any] = {
            "owner": owner,
            "attempt_count": self.attempt_count + 1,
            "status": RUNNING,
            "exit_code": None,
            "reason": "",
            "resumed_at": stored(at),
            "finished_at": None,
            "duration_seconds": None,
            **more,
        }
        with transaction.atomic(using=using):
            if not before.filter(status__in=_before(self.MOVES, RUNNING)).update(**changes):
                return False
            StepRun.objects.using(using).filter(run=self, status=RUNNING).update(
                status=StepStatus.INTERRUPTED.value, message="the process of the run ended while the step was running"
            )
        _set(self, changes)
        return True

    def note(self, *, using: str, **changes: Any) -> bool:
        """Store what becomes known while it runs; return False if the row was deleted or has another owner."""
        _set(self, changes)
        return statements.update(self, changes, {"id": self.pk, "owner": self.owner}, using=using)

    def finish(
        self,
        *,
        using: str,
        at: datetime.datetime,
        status: RunStatus,
        exit_code: int,
        reason: str,
        duration_seconds: float | None = None,
    ) -> bool:
        """Store the end; return False if the row was deleted or has another owner."""
        changes = {
            "status": status.value,
            "exit_code": exit_code,
            "reason": reason,
            "finished_at": stored(at),
            "duration_seconds": duration_seconds,
            "figures": self.figures,
            "figures_kind": self.figures_kind,
        }
        mine = {"id": self.pk, "owner": self.owner, "status": RUNNING}
        return _move(self, changes, mine, using=using)


class StepRun(models.Model):
    """Stores one attempt of a step, or a step that was skipped or not run; each item of a loop has an ID of its own.

    ``attempt`` counts over all attempts of the run; ``run_attempt`` is the attempt of the run. ``output`` is a list
    with the captured value; it is None without ``capture``, or if the value contained a secret.
    """

    # The statuses that may follow each status.
    MOVES: ClassVar[dict[str, tuple[str, ...]]] = {
        RUNNING: tuple(status.value for status in StepStatus),  # it ended, or its process did
        # an atomic step stored its success in its own transaction, and the step failed afterwards
        StepStatus.SUCCEEDED.value: (StepStatus.SUCCEEDED.value, StepStatus.FAILED.value),
        StepStatus.FAILED.value: (StepStatus.SKIPPED.value,),  # the user marks it as done
        StepStatus.TIMED_OUT.value: (StepStatus.SKIPPED.value,),  # the user marks it as done
        StepStatus.INTERRUPTED.value: (StepStatus.SKIPPED.value,),  # the user marks it as done
        StepStatus.SKIPPED.value: (
            StepStatus.SKIPPED.value,
        ),  # it was skipped because of a stop, and the user marks it as done
        StepStatus.NOT_RUN.value: (StepStatus.SKIPPED.value,),  # the user marks it as done
    }

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="steps", db_index=False)
    step_id = models.CharField(max_length=MAX_ID_LENGTH)
    attempt = models.PositiveIntegerField(default=1)
    run_attempt = models.PositiveIntegerField(default=1)
    name = models.TextField()
    role = models.CharField(max_length=20)
    kind = models.CharField(max_length=10, help_text="A command, a group, a loop or a nested runbook.")
    group_ids = JSONText(default=list)
    argv = JSONText(null=True)
    status = models.CharField(max_length=20, default=RUNNING)
    ignored = models.BooleanField(default=False)
    reason = models.TextField(blank=True)
    exit_code = models.IntegerField(null=True)
    error_type = models.TextField(blank=True)
    message = models.TextField(blank=True)
    traceback = models.TextField(blank=True)
    warnings = JSONText(default=list)
    output_head = models.TextField(blank=True)
    output_tail = models.TextField(blank=True)
    omitted_count = models.PositiveBigIntegerField(
        default=0, help_text="The number of lines between the head and the tail."
    )
    output_size = models.PositiveBigIntegerField(null=True, help_text="The number of printed characters.")
    output = JSONText(null=True)
    is_output_secret = models.BooleanField(default=False)
    done_count = models.PositiveBigIntegerField(null=True)
    total_count = models.PositiveBigIntegerField(null=True)
    failed_count = models.PositiveBigIntegerField(default=0)
    row_counts = JSONText(null=True, help_text="The numbers of inserted, updated and deleted rows, by table.")
    unusual = JSONText(default=list, help_text="What is unlike earlier runs.")
    definition = models.TextField(blank=True)
    definition_hash = models.CharField(max_length=64, blank=True)
    item_hash = models.CharField(
        max_length=64, blank=True, help_text="A digest of the loop item, with its secrets masked."
    )
    file = models.TextField(blank=True)
    line = models.PositiveIntegerField(default=0)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    duration_seconds = models.FloatField(
        null=True,
        help_text="The duration of the step, measured by a monotonic clock; the last attempt has that of all retries.",
    )

    class Meta:
        constraints = (models.UniqueConstraint(fields=["run", "step_id", "attempt"], name="runbook_one_attempt"),)
        # The first rows of a run are read in order, also from a table of millions.
        indexes = (models.Index(fields=["run", "id"], name="runbook_step_order"),)

    def __str__(self) -> str:
        return f"{self.step_id}, attempt {self.attempt}: {self.status}"

    @property
    def took_seconds(self) -> float | None:
        """Return the duration; None if it was not called or has not ended."""
        return seconds_taken(self.started_at, self.finished_at, measured=self.duration_seconds)

    def finish(self, status: StepStatus, *, using: str, **changes: Any) -> bool:
        """Store the end; return False if the row was deleted or taken over."""
        return _move(self, {"status": status.value, **changes}, {"id": self.pk, "status": self.status}, using=using)

    def insert(self, *, using: str) -> None:
        """Insert the row."""
        statements.insert(self, using=using)

    def note(self, *, using: str, **changes: Any) -> bool:
        """Update the progress and the output of the running step."""
        _set(self, changes)
        return statements.update(self, changes, {"id": self.pk, "status": RUNNING}, using=using)


def _move(row: Run | StepRun, changes: dict[str, Any], mine: dict[str, Any], *, using: str) -> bool:
    allowed = _before(row.MOVES, changes["status"])
    if row.status not in allowed:
        raise ValueError(f"{row} cannot become {changes['status']}")
    _set(row, changes)
    return statements.update(row, changes, mine, using=using)


def _before(moves: dict[str, tuple[str, ...]], status: str) -> tuple[str, ...]:
    return tuple(before for before, after in moves.items() if status in after)


def _set(row: models.Model, changes: dict[str, Any]) -> None:
    for name, value in changes.items():
        setattr(row, name, value)
