"""What the app stores: how far each batch command is, and the rows that it could not do."""

from __future__ import annotations

from django.db import models
from django.utils import timezone


class Checkpoint(models.Model):
    """How far a batch command is with one piece of work, or with one shard of it.

    It lives in the database of the rows, and each batch moves it in its own transaction. ``owner`` is a token of the
    process that may move it: who takes over writes a token of its own, and the other one's next batch cannot commit.
    ``batch_count`` grows with each move, so that a process can tell whether a transaction of its own was committed.
    """

    scope = models.CharField(max_length=64, help_text="A digest of the command and of what the cursor means.")
    shard = models.CharField(max_length=20, blank=True, help_text="As in 1/8; empty where there is one only.")
    command = models.CharField(max_length=150)
    description = models.TextField(help_text="What the cursor runs through.")
    run_key = models.CharField(max_length=200, blank=True, help_text="The runner's name for the call.")
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


class FailedRow(models.Model):
    """A row, or a line of a file, that a batch command could not do and went past."""

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

    def fail_again(self, *, error: str, traceback: str) -> None:
        """Note one more failure of the row."""
        self.error, self.traceback = error, traceback
        self.attempt_count += 1
        self.failed_at = timezone.now()
        self.save(update_fields=["error", "traceback", "attempt_count", "failed_at"])
