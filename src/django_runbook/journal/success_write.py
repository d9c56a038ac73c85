"""Writes the end of an atomic step in the transaction of its command."""

from __future__ import annotations

from collections.abc import Mapping

from django_runbook.exceptions import JournalLost
from django_runbook.journal.connection import GONE
from django_runbook.models import StepRun
from django_runbook.results import StepStatus
from django_runbook.structs import Struct


class SuccessWrite(Struct):
    """Marks the row of a step as succeeded; it is passed to the process of the step and called there.

    ``status`` is the present status of the row; ``using`` is the database of the transaction.
    """

    pk: int
    status: str
    using: str
    changes: Mapping[str, object]

    def __call__(self) -> None:
        row = StepRun(pk=self.pk, status=self.status)
        if not row.finish(StepStatus.SUCCEEDED, using=self.using, **self.changes):
            raise JournalLost(GONE)
