"""Stores the calls that run on the workers of a task engine, and the output that they have written."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any, Final

from django.db import models
from django.utils import timezone

from django_runbook.models import statements
from django_runbook.models.fields import JSONText

_MAX_STEP_ID_LENGTH: Final = 400


class CallStatus(enum.StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    DEAD = "dead"
    CANCELLED = "cancelled"


class StopLevel(enum.IntEnum):
    """Lists what a run asks of a call: nothing, to stop after its item or batch, or to end immediately."""

    NONE = 0
    AFTER_ITEM = 1
    IMMEDIATE = 2


# The arguments of a step with no_log are stored no longer than they wait.
NO_CONTENT: Final[Mapping[str, Any]] = {"tokens": [], "process": {}}
OPEN: Final = (CallStatus.QUEUED.value, CallStatus.RUNNING.value)


class Call(models.Model):
    """Stores one call of a command on a worker; the message to the worker holds only its id.

    ``attempt`` is that of the step's row, and ``number`` counts the calls of this attempt: a call whose worker died may
    be followed by another one. ``claim`` is the token of the worker that may write to the row, and ``worker`` names the
    lock that this worker holds while it lives. ``tokens`` and ``process`` are encoded, with references in place of
    secrets.
    """

    id = models.CharField(primary_key=True, max_length=32)
    run = models.ForeignKey("django_runbook.Run", on_delete=models.CASCADE, related_name="calls", db_index=False)
    step_id = models.CharField(max_length=_MAX_STEP_ID_LENGTH)
    attempt = models.PositiveIntegerField()
    number = models.PositiveIntegerField(default=1)
    status = models.CharField(max_length=20, default=CallStatus.QUEUED.value)
    engine = models.CharField(max_length=200)
    queue = models.CharField(max_length=200)
    command = models.CharField(max_length=150)
    tokens = JSONText(default=list)
    process = JSONText(default=dict, help_text="What the process of the command gets besides its tokens.")
    tokens_digest = models.CharField(max_length=64, help_text="A keyed digest of the content with its secrets.")
    secret_names = JSONText(default=list)
    lock_names = JSONText(default=list, help_text="The locks that the run holds around the call.")
    call_key = models.CharField(max_length=200)
    environ = JSONText(default=dict, help_text="The variables that the process of the command gets in addition.")
    capture = models.CharField(max_length=10, blank=True)
    timeout_seconds = models.FloatField(null=True)
    owner = models.TextField(blank=True, help_text="The name of the step in the message of its timeout.")
    is_atomic = models.BooleanField(default=False)
    is_hidden = models.BooleanField(default=False, help_text="With no_log, output is not stored.")
    is_repeatable = models.BooleanField(default=False, help_text="Whether the call can be repeated after its death.")
    version = models.CharField(max_length=200, blank=True, help_text="The version of the code that the run has.")
    claim = models.CharField(max_length=32, blank=True)
    worker = models.CharField(max_length=32, blank=True)
    host = models.CharField(max_length=255, blank=True)
    pid = models.PositiveBigIntegerField(null=True)
    parent_pid = models.PositiveBigIntegerField(null=True)
    stop_level = models.PositiveSmallIntegerField(default=StopLevel.NONE.value)
    is_releasing = models.BooleanField(default=False, help_text="Whether the worker is shutting down.")
    pause_count = models.PositiveIntegerField(default=0, help_text="How often the run asked for less output.")
    release_count = models.PositiveIntegerField(default=0)
    refusal_count = models.PositiveIntegerField(default=0, help_text="How often a worker with other code refused it.")
    refused_version = models.CharField(max_length=200, blank=True, help_text="The version of the last such worker.")
    done_count = models.PositiveBigIntegerField(null=True)
    total_count = models.PositiveBigIntegerField(null=True)
    failed_count = models.PositiveBigIntegerField(default=0)
    output_count = models.PositiveIntegerField(default=0, help_text="The number of parts of the output.")
    result = JSONText(null=True)
    queued_at = models.DateTimeField(default=timezone.now)
    claimed_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["run", "step_id", "attempt", "number"], name="runbook_one_call"),
        )
        indexes = (models.Index(fields=["status", "queued_at"], name="runbook_call_status"),)

    def __str__(self) -> str:
        return f"{self.step_id}, attempt {self.attempt}, call {self.number}: {self.status}"

    def claim_for(self, claim: str, *, using: str, **changes: Any) -> bool:
        """Claim the queued call; return False if it is not as it was read, for example for a duplicate message.

        If another worker has had the call since then, it has stored output, and this row does not know of it.
        """
        before = self.claim
        changes |= {"status": CallStatus.RUNNING.value, "claim": claim, "claimed_at": timezone.now()}
        return self._move(changes, using=using, status=CallStatus.QUEUED.value, claim=before)

    def note(self, *, using: str, **changes: Any) -> bool:
        """Update the claimed call; return False if this worker does not own it any more."""
        return self._move(changes, using=using, status=CallStatus.RUNNING.value, claim=self.claim)

    def finish(self, result: dict[str, Any], *, using: str, **changes: Any) -> bool:
        """Store the result of the claimed call; return False if this worker does not own it any more."""
        changes |= {"status": CallStatus.DONE.value, "result": result, "finished_at": timezone.now()}
        return self.note(using=using, **changes)

    def release(self, content: Mapping[str, Any], *, using: str, **changes: Any) -> bool:
        """Return the claimed call to its queue; return False if this worker does not own it any more."""
        return self.note(
            using=using,
            status=CallStatus.QUEUED.value,
            is_releasing=False,
            release_count=self.release_count + 1,
            worker="",
            **content,
            **changes,
        )

    def pause(self, *, using: str) -> bool:
        """Ask the worker of the running call to pause its output; return False if the call ended or was released."""
        changes = {"pause_count": self.pause_count + 1}
        return self._move(changes, using=using, status=CallStatus.RUNNING.value, claim=self.claim)

    def refuse(self, version: str, *, using: str) -> bool:
        """Note that a worker with this version of the code refuses the queued call; return False if it is claimed."""
        changes = {"refusal_count": self.refusal_count + 1, "refused_version": version}
        return self._move(changes, using=using, status=CallStatus.QUEUED.value)

    def cancel(self, *, using: str, **conditions: Any) -> bool:
        """Cancel the queued call if its row meets the conditions; return False also if a worker was faster."""
        return self._end_queued({"status": CallStatus.CANCELLED.value}, using=using, **conditions)

    def fail(self, result: dict[str, Any], *, using: str) -> bool:
        """End the queued call, which no worker may run; return False if one has claimed it."""
        return self._end_queued({"status": CallStatus.DONE.value, "result": result}, using=using)

    def _end_queued(self, changes: dict[str, Any], *, using: str, **conditions: Any) -> bool:
        content = NO_CONTENT if self.is_hidden else {}
        changes = {**changes, **content, "finished_at": timezone.now()}
        return self._move(changes, using=using, status=CallStatus.QUEUED.value, **conditions)

    def mark_dead(self, *, using: str, **conditions: Any) -> bool:
        """Note that the worker of the running call died; return False if the call ended or was released before."""
        changes = {"status": CallStatus.DEAD.value, "finished_at": timezone.now()}
        return self._move(changes, using=using, status=CallStatus.RUNNING.value, claim=self.claim, **conditions)

    def _move(self, changes: dict[str, Any], *, using: str, **conditions: Any) -> bool:
        if not statements.update(self, changes, {"id": self.pk, **conditions}, using=using):
            return False
        for name, value in changes.items():
            setattr(self, name, value)
        return True


def worker_lock_name(worker: str) -> str:
    """Return the name of the lock that a worker holds while it lives."""
    return f"worker {worker}"


class CallOutput(models.Model):
    """Stores a part of the output of a call: a list of pairs of a stream and a line, already masked."""

    call = models.ForeignKey(Call, on_delete=models.CASCADE, related_name="outputs", db_index=False)
    number = models.PositiveIntegerField()
    lines = JSONText(default=list)

    class Meta:
        constraints = (models.UniqueConstraint(fields=["call", "number"], name="runbook_one_output"),)

    def __str__(self) -> str:
        return f"{self.call_id}, part {self.number}"
