"""Lists the checkpoints of a batch command by pieces of work, whose shards are one line."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from django.contrib.admin.views.main import ChangeList
from django.db.models import Exists, F, Max, OuterRef, Q, QuerySet, Subquery, Sum
from django.http import HttpRequest

from django_runbook.models.checkpoints import Checkpoint
from django_runbook.pages.shard_table import WorkSum


class WorkList(ChangeList):
    """Keeps one checkpoint of each piece of work, and attaches the sum of its shards as ``work_sum``."""

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet[Any]:
        """Return the first unfinished shard of each piece of work, or its first shard."""
        shards = Checkpoint.objects.filter(scope=OuterRef("scope"))
        earlier, unfinished = shards.filter(pk__lt=OuterRef("pk")), shards.filter(finished_at=None)
        is_later_unfinished = Q(finished_at=None) & Exists(unfinished.filter(pk__lt=OuterRef("pk")))
        is_later_finished = Q(finished_at__isnull=False) & (Exists(unfinished) | Exists(earlier))
        rows: QuerySet[Any] = super().get_queryset(request, exclude_parameters)
        return rows.exclude(is_later_unfinished | is_later_finished)

    def get_results(self, request: HttpRequest) -> None:
        """Read the rows of the page and the shards of their work."""
        super().get_results(request)
        shards = defaultdict[str, list[Checkpoint]](list)
        for row in Checkpoint.objects.filter(scope__in={row.scope for row in self.result_list}):
            shards[row.scope].append(row)
        for row in self.result_list:
            row.work_sum = WorkSum.of(shards[row.scope] or [row])


def with_order(rows: QuerySet[Any]) -> QuerySet[Any]:
    """Add the values of whole pieces of work by which the list can be ordered."""
    shards = Checkpoint.objects.filter(scope=OuterRef("scope")).order_by().values("scope")
    ordered: QuerySet[Any] = rows.annotate(
        work_done_count=Subquery(shards.annotate(sum=Sum("done_count")).values("sum")),
        work_updated_at=Subquery(shards.annotate(last=Max(F("updated_at"))).values("last")),
    )
    return ordered
