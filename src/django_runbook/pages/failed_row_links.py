"""Links each step of a run to the failed rows of its batch command."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection

from django.db.models import Count

from django_runbook.models import Run
from django_runbook.models.checkpoints import Checkpoint, FailedRow
from django_runbook.pages.timeline import FailedRowsLink


def failed_rows_of(run: Run, step_ids: Collection[str], *, url_of: Callable[[str], str]) -> dict[str, FailedRowsLink]:
    """Return the links by the ID of the step; ``url_of`` returns the URL of the failed rows of a scope.

    A step is identified by its checkpoint, which the next run of the same work takes over, so only the newest run of
    the work has links.
    """
    begin = f"{run.id}:"
    keys = Checkpoint.objects.filter(call_key__startswith=begin, failed_count__gt=0).values_list("call_key", "scope")
    # The key of a step in a retried group has a number after its ID.
    scopes = {key.removeprefix(begin).partition(":")[0]: scope for key, scope in keys}
    if not scopes:
        return {}
    counted = FailedRow.objects.filter(scope__in=set(scopes.values())).order_by().values("scope")
    counts = dict(counted.annotate(count=Count("pk")).values_list("scope", "count"))
    found = {step_id: scope for step_id in step_ids if (scope := scopes.get(step_id) or scopes.get(_digest(step_id)))}
    return {
        step_id: FailedRowsLink(count=counts[scope], url=url_of(scope))
        for step_id, scope in found.items()
        if scope in counts
    }


def _digest(step_id: str) -> str:
    # Replaces an ID that is too long for the key.
    return hashlib.sha256(step_id.encode()).hexdigest()
