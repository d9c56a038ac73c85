"""Stores the checkpoints, finished keys and failed rows of batch commands."""

from __future__ import annotations

from typing import Final

from django.db import models
from django.utils import timezone

MAX_RUN_KEY_LENGTH: Final = 200


class Checkpoint(models.Model):
    """Stores the position of a batch command in one piece of work, or in one shard of it.

    It is stored in the database of the rows, and each batch moves it in its own transaction. ``owner`` is the token of
    the process that may move it: a process that takes over writes its own token, and the previous owner cannot commit
    another batch. ``batch_count`` grows with each move and shows whether a transaction was committed.
    """

    scope = models.CharField(
        max_length=64, help_text="A digest of the command and of the options that define its work."
    )
    shard = models.CharField(max_length=20, blank=True, help_text="For example 1/8; empty without shards.")
    command = models.CharField(max_length=150)
    description = models.TextField(help_text="The processed model or file.")
    call_key = models.CharField(
        max_length=200, blank=True, help_text="The ID of the run and the step that called the command."
    )
    earlier_calls = models.TextField(
        blank=True, help_text="The earlier values of the call key, one a line, the newest first."
    )
    run_key = models.CharField(max_length=MAX_RUN_KEY_LENGTH, blank=True, help_text="The value of --run-key.")
    key_digest = models.CharField(
        max_length=64, blank=True, help_text="A digest of the run key, independent of collations."
    )
    owner = models.CharField(max_length=32)
    holder = models.CharField(max_length=300, help_text="A readable description of the owner.")
    start = models.TextField(blank=True, help_text="The cursor at the start.")
    cursor = models.TextField(blank=True, help_text="The key of the last processed row.")
    upper = models.TextField(blank=True, help_text="The key of the last row to process.")
    total_count = models.PositiveBigIntegerField(
        null=True, blank=True, help_text="The number of rows of this shard when the work started; empty without shards."
    )
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
    """Records that a piece of work, or a shard of it, has finished under a ``--run-key``, so that it is not repeated.

    It is written in the transaction that finishes the work, in the database of the checkpoint.
    """

    scope = models.CharField(max_length=64, help_text="The scope of the checkpoint.")
    shard = models.CharField(max_length=20, blank=True)
    command = models.CharField(max_length=150)
    run_key = models.CharField(max_length=MAX_RUN_KEY_LENGTH)
    key_digest = models.CharField(max_length=64, help_text="A digest of the run key, independent of collations.")
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
    """Stores a row, or a line of a file, that failed in a batch command and was skipped."""

    scope = models.CharField(max_length=64)
    shard = models.CharField(max_length=20, blank=True)
    command = models.CharField(max_length=150)
    key_digest = models.CharField(max_length=64, help_text="A digest of the key, which may be too long for an index.")
    key = models.TextField(help_text="The key of the row, in the format of a checkpoint.")
    name = models.TextField(help_text="A readable description of the row.")
    error = models.TextField()
    traceback = models.TextField(blank=True)
    attempt_count = models.PositiveIntegerField(default=1)
    failed_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = (models.UniqueConstraint(fields=["scope", "key_digest"], name="runbook_one_failed_row"),)

    def __str__(self) -> str:
        return f"{self.command}: {self.name}"
