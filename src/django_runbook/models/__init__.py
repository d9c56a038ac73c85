"""Stores runs and their steps, the calls that run on workers, and the checkpoints of batch commands.

Django finds the models of the app from here.
"""

from __future__ import annotations

from django_runbook.models.calls import Call, CallOutput
from django_runbook.models.checkpoints import Checkpoint, FailedRow, FinishedKey
from django_runbook.models.runs import (
    RUNNING,
    UNFINISHED,
    Run,
    RunQuerySet,
    StepRun,
    seconds_between,
    seconds_taken,
    stored,
)

__all__ = [
    "RUNNING",
    "UNFINISHED",
    "Call",
    "CallOutput",
    "Checkpoint",
    "FailedRow",
    "FinishedKey",
    "Run",
    "RunQuerySet",
    "StepRun",
    "seconds_between",
    "seconds_taken",
    "stored",
]
