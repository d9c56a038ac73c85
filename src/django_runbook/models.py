"""Store what ran and how it ended, how far each batch command is, and the rows that it could not do."""

from __future__ import annotations

import datetime
import zoneinfo
from typing import Any, ClassVar, Final, Self

from django.conf import settings
from django.db import models, transaction
from django.utils import timezone

from django_runbook import statements
from django_runbook.fields import JSONText
from django_runbook.results import Role, RunStatus, StepStatus

RUNNING: Final = "running"
# Long enough for every id that a person would write, and short enough for an index of MariaDB.
MAX_ID_LENGTH: Final = 400
MAX_RUN_KEY_LENGTH: Final = 200


class Checkpoint(models.Model):
    """Stores how far a batch command is with one piece of work, or with one shard of it.

    It lives in the database of the rows, and each batch moves it in its own transaction. ``owner`` is a token of the
    process that may move it: who takes over writes a token of its own, and the other one's next batch cannot commit.
    ``batch_count`` grows with each move, so that a process can tell whether a transaction of its own was committed.
    """

    scope = models.CharField(max_length=64, help_text="A digest of the command and of what the cursor means.")
    shard = models.CharField(max_length=20, blank=True, help_text="As in 1/8; empty where there is one only.")
    command = models.CharField(max_length=150)
    description = models.TextField(help_text="What the cursor runs through.")
    call_key = models.CharField(max_length=200, blank=True, help_text="The runner's name for the call.")
    run_key = models.CharField(max_length=MAX_RUN_KEY_LENGTH, blank=True, help_text="How --run-key names the work.")
    key_digest = models.CharField(max_length=64, blank=True, help_text="A digest of that, as no collation compares it.")
    owner = models.CharField(max_length=32)
    holder = models.CharField(max_length=300, help_text="The owner, for people.")
    start = models.TextField(blank=True, help_text="The cursor that it began with.")
    cursor = models.TextField(blank=True, help_text="The key of the last row that is done.")
    upper = models.TextField(blank=True, help_text="The key of the last row to do.")
    batch_count = models.PositiveBigIntegerField(default=0)
    done_count = models.PositiveBigIntegerField(default=0)
    failed_count = models.PositiveBigIntegerField(default=0)
    started_at = models.DateTimeField(default=timezone.now)
    updated_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        constraints = (models.UniqueConstraint(fields=["scope", "shard"], name="runbook_one_checkpoint"),)

    def __str__(self) -> str:
        shard = f" {self.shard}" if self.shard else ""
        return f"{self.command}{shard}: {self.done_count} done"


class FinishedKey(models.Model):
    """Remembers that a piece of work, or a shard of it, has finished under a ``--run-key``, so it is not done again.

    It is written in the transaction in which the work finishes, in the database of its checkpoint.
    """

    scope = models.CharField(max_length=64, help_text="The same as that of the checkpoint.")
    shard = models.CharField(max_length=20, blank=True)
    command = models.CharField(max_length=150)
    run_key = models.CharField(max_length=MAX_RUN_KEY_LENGTH)
    key_digest = models.CharField(max_length=64, help_text="A digest of that, as no collation compares it.")
    done_count = models.PositiveBigIntegerField(default=0)
    failed_count = models.PositiveBigIntegerField(default=0)
    finished_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["scope", "key_digest", "shard"], name="runbook_one_finished_key"),
        )

    def __str__(self) -> str:
        shard = f" {self.shard}" if self.shard else ""
        return f"{self.command}{shard}: finished under the key {self.run_key}"


class FailedRow(models.Model):
    """Stores a row, or a line of a file, that a batch command could not do and went past."""

    scope = models.CharField(max_length=64)
    shard = models.CharField(max_length=20, blank=True)
    command = models.CharField(max_length=150)
    key_digest = models.CharField(max_length=64, help_text="A digest of the key, which may be too long for an index.")
    key = models.TextField(help_text="The row's key, as the checkpoint writes it.")
    name = models.TextField(help_text="The row, for people.")
    error = models.TextField()
    traceback = models.TextField(blank=True)
    attempt_count = models.PositiveIntegerField(default=1)
    failed_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = (models.UniqueConstraint(fields=["scope", "key_digest"], name="runbook_one_failed_row"),)

    def __str__(self) -> str:
        return f"{self.command}: {self.name}"


def stored(at: datetime.datetime) -> datetime.datetime:
    """Return an aware time as this project's columns take it: without ``USE_TZ`` they have no zone."""
    return at if settings.USE_TZ else timezone.make_naive(at)


def seconds_between(begin: datetime.datetime | None, end: datetime.datetime | None) -> float | None:
    """Return the time between two readings of a clock that may have been set back, or be another host's."""
    return None if begin is None or end is None else max(0.0, (end - begin).total_seconds())


def seconds_taken(
    begin: datetime.datetime | None, end: datetime.datetime | None, *, measured: float | None
) -> float | None:
    """Return how long something took that has ended: as it was measured, or as the clock on the wall says."""
    return measured if end is None or measured is not None else seconds_between(begin, end)


class RunQuerySet(models.QuerySet["Run"]):
    """Names the queries over runs."""

    def of(self, runbook: str) -> Self:
        """Keep the runs of a runbook."""
        return self.filter(runbook=runbook)

    def named(self, name: str) -> Self:
        """Keep the runs of what a person calls by this name: its key, its name, its file, or the stem of that."""
        suffixes = models.Q()
        for suffix in ("", ".yml", ".yaml"):
            suffixes |= models.Q(runbook=name + suffix) | models.Q(file=name + suffix)
        return self.filter(suffixes | models.Q(name=name))

    def newest_first(self) -> Self:
        """Order them as people look for them."""
        return self.order_by("-started_at", "-pk")

    def begun(self) -> Self:
        """Keep those that had begun to work: handlers, and steps that were skipped or not run, are no work."""
        steps = StepRun.objects.filter(run=models.OuterRef("pk"), role=Role.STEP.value)
        ended = models.Q(status__in=(StepStatus.SUCCEEDED, StepStatus.FAILED, StepStatus.TIMED_OUT))
        # A group may have begun although no command in it was called.
        was_called = models.Q(kind="command", started_at__isnull=False)
        return self.filter(models.Exists(steps.filter(ended | was_called)))

    def unfinished(self) -> Self:
        """Keep what can be resumed; of those that say that they are running, as far as their process is gone."""
        return self.begun().filter(status__in=(RUNNING, *UNFINISHED))


# What a run can be resumed from, besides from a death.
UNFINISHED: Final = (RunStatus.FAILED.value, RunStatus.INTERRUPTED.value)


class Run(models.Model):
    """Stores one run of a runbook, over all of its attempts: a run that is resumed is the same run.

    ``owner`` is a token of the process that may write about it; ``now`` is what ``now`` means in its expressions.
    """

    # From a status to those that it may become.
    MOVES: ClassVar[dict[str, tuple[str, ...]]] = {
        # It ended; or its process did, and it is resumed.
        RUNNING: (*(status.value for status in RunStatus), RUNNING),
        RunStatus.FAILED.value: (RUNNING,),  # it is resumed
        RunStatus.INTERRUPTED.value: (RUNNING,),  # it is resumed
        RunStatus.SUCCEEDED.value: (),  # nothing is left to do
        RunStatus.WARNING.value: (),  # its failures were ignored
        RunStatus.REFUSED.value: (),  # nothing was run
    }

    id = models.CharField(primary_key=True, max_length=32)
    runbook = models.CharField(max_length=500, help_text="The same for all releases of the project.")
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
        null=True, help_text="How long its last attempt took, by a clock that is never set."
    )
    lock_backend = models.TextField(blank=True, help_text="What keeps the lock that tells whether it is running.")
    host = models.CharField(max_length=255)
    pid = models.PositiveBigIntegerField()
    user = models.CharField(max_length=150, blank=True)
    owner = models.CharField(max_length=32)

    objects = RunQuerySet.as_manager()

    class Meta:
        indexes = (
            models.Index(fields=["started_at"], name="runbook_run_started"),
            models.Index(fields=["runbook", "started_at"], name="runbook_run_runbook"),
            models.Index(fields=["status", "started_at"], name="runbook_run_status"),
        )

    def __str__(self) -> str:
        return f"{self.name} ({self.id[:8]}): {self.status}"

    @property
    def lock_name(self) -> str:
        """Return the name of the lock that its process holds as long as it lives."""
        return f"run {self.id}"

    @property
    def took_seconds(self) -> float | None:
        """Return how long its last attempt took; None if it has no end."""
        return seconds_taken(self.resumed_at or self.started_at, self.finished_at, measured=self.duration_seconds)

    def began(self) -> datetime.datetime:
        """Return ``now``, in the zone that it had."""
        text, _, zone = self.now.partition(" ")
        at = datetime.datetime.fromisoformat(text)
        try:
            return at.astimezone(zoneinfo.ZoneInfo(zone)) if zone else at
        except (zoneinfo.ZoneInfoNotFoundError, ValueError):
            return at

    def begin(self, at: datetime.datetime) -> None:
        """Set when it starts, without storing it."""
        self.started_at = stored(at)
        zone = str(at.tzinfo) if isinstance(at.tzinfo, zoneinfo.ZoneInfo) else ""
        self.now = f"{at.isoformat()} {zone}".strip()

    def take_over(self, owner: str, *, using: str, at: datetime.datetime, **more: Any) -> bool:
        """Make this process the one that writes about it; False where another one was faster.

        What the one before left running was interrupted. ``more`` is what else is new: who it is, and what was given.
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
        """Store how it ended; returns False if its row is gone, or belongs to another process."""
        changes = {
            "status": status.value,
            "exit_code": exit_code,
            "reason": reason,
            "finished_at": stored(at),
            "duration_seconds": duration_seconds,
        }
        mine = {"id": self.pk, "owner": self.owner, "status": RUNNING}
        return _move(self, changes, mine, using=using)


class StepRun(models.Model):
    """Stores one attempt of a step, or one that was skipped or not run; a loop's items have ids of their own.

    ``attempt`` counts over all attempts of the run, ``run_attempt`` says in which of them it was. ``output`` is what
    ``capture`` made of the command's output, in a list; where it is empty there is none, or it held a secret.
    """

    # From a status to those that it may become.
    MOVES: ClassVar[dict[str, tuple[str, ...]]] = {
        RUNNING: tuple(status.value for status in StepStatus),  # it ended, or its process did
        # What an atomic step wrote with its own transaction, although what follows makes the step another thing.
        StepStatus.SUCCEEDED.value: (StepStatus.SUCCEEDED.value, StepStatus.FAILED.value),
        StepStatus.FAILED.value: (StepStatus.SKIPPED.value,),  # a person counts it as done
        StepStatus.TIMED_OUT.value: (StepStatus.SKIPPED.value,),  # a person counts it as done
        StepStatus.INTERRUPTED.value: (StepStatus.SKIPPED.value,),  # a person counts it as done
        StepStatus.SKIPPED.value: (StepStatus.SKIPPED.value,),  # a stop came before it, and a person counts it as done
        StepStatus.NOT_RUN.value: (StepStatus.SKIPPED.value,),  # a person counts it as done
    }

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="steps", db_index=False)
    step_id = models.CharField(max_length=MAX_ID_LENGTH)
    attempt = models.PositiveIntegerField(default=1)
    run_attempt = models.PositiveIntegerField(default=1)
    name = models.TextField()
    role = models.CharField(max_length=20)
    kind = models.CharField(max_length=10, help_text="A command, a group, a loop, or a runbook that is called.")
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
    omitted_count = models.PositiveBigIntegerField(default=0, help_text="Lines between the head and the tail.")
    output = JSONText(null=True)
    is_output_secret = models.BooleanField(default=False)
    done_count = models.PositiveBigIntegerField(null=True)
    total_count = models.PositiveBigIntegerField(null=True)
    failed_count = models.PositiveBigIntegerField(default=0)
    definition = models.TextField(blank=True)
    definition_hash = models.CharField(max_length=64, blank=True)
    item_hash = models.CharField(max_length=64, blank=True, help_text="Of the loop's item, with its secrets masked.")
    file = models.TextField(blank=True)
    line = models.PositiveIntegerField(default=0)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    duration_seconds = models.FloatField(
        null=True,
        help_text="How long the step took, by a clock that is never set: with all of its retries, in the last of them.",
    )

    class Meta:
        constraints = (models.UniqueConstraint(fields=["run", "step_id", "attempt"], name="runbook_one_attempt"),)
        # Of a table of millions, the first rows of a run are read in their order.
        indexes = (models.Index(fields=["run", "id"], name="runbook_step_order"),)

    def __str__(self) -> str:
        return f"{self.step_id}, attempt {self.attempt}: {self.status}"

    @property
    def took_seconds(self) -> float | None:
        """Return how long it took; None if it was not called, or has no end."""
        return seconds_taken(self.started_at, self.finished_at, measured=self.duration_seconds)

    def finish(self, status: StepStatus, *, using: str, **changes: Any) -> bool:
        """Store how it ended; returns False if its row is gone, or was taken over."""
        return _move(self, {"status": status.value, **changes}, {"id": self.pk, "status": self.status}, using=using)

    def insert(self, *, using: str) -> None:
        """Store it for the first time."""
        statements.insert(self, using=using)

    def note(self, *, using: str, **changes: Any) -> bool:
        """Store how far it is."""
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
