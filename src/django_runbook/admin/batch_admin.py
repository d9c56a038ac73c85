"""Shows the failed rows, checkpoints and finished run keys of batch commands."""

from __future__ import annotations

from typing import Any, Final

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from django_runbook.admin.read_only_admin import ReadOnlyAdmin
from django_runbook.admin.work_list import WorkList, with_order
from django_runbook.models.checkpoints import Checkpoint, FailedRow, FinishedKey
from django_runbook.pages import formatting
from django_runbook.pages.shard_table import WorkSum, shard_table

# A longer text pushes the columns after it off a screen of 1280 pixels.
_MAX_CELL: Final = 120


class WorkAdmin(ReadOnlyAdmin):
    """Shows rows of batch commands, in columns that fit into 1280 pixels."""

    change_list_template = "django_runbook/run_list.html"

    @admin.display(description="done", ordering="done_count")
    def done(self, row: Any) -> str:
        failed = f" ({formatting.number(row.failed_count)} failed)" if row.failed_count else ""
        return formatting.number(row.done_count) + failed


@admin.register(FailedRow)
class FailedRowAdmin(WorkAdmin):
    """Shows the failed rows of batch commands, newest first."""

    list_display = ("title", "short_error", "attempts", "failed")
    list_filter = ("failed_at", "command")
    search_fields = ("name", "error")
    ordering = ("-pk",)
    exclude = ("scope", "key_digest", "traceback")
    readonly_fields = ("whole_traceback",)

    @admin.display(description="name and command", ordering="name")
    def title(self, row: FailedRow) -> SafeString:
        return _two_lines(row.name, _command_of(row))

    @admin.display(description="error")
    def short_error(self, row: FailedRow) -> str:
        return _short(next(iter(row.error.splitlines()), ""))

    @admin.display(description="attempts", ordering="attempt_count")
    def attempts(self, row: FailedRow) -> int:
        return row.attempt_count

    @admin.display(description="failed at", ordering="failed_at")
    def failed(self, row: FailedRow) -> str:
        return formatting.moment(row.failed_at)

    @admin.display(description="traceback")
    def whole_traceback(self, row: FailedRow) -> SafeString:
        return format_html("<pre>{}</pre>", row.traceback)


@admin.register(Checkpoint)
class CheckpointAdmin(WorkAdmin):
    """Shows the checkpoints of batch commands, newest first; the shards of a piece of work are one line."""

    list_display = ("title", "done", "changed")
    list_filter = ("finished_at", "command")
    search_fields = ("command", "description")
    ordering = ("-pk",)
    exclude = ("scope", "owner", "key_digest")

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[WorkList]:
        return WorkList

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return with_order(super().get_queryset(request))

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Return the fields of the row, or those of the whole work if it has shards."""
        return _SHARDED_FIELDS if obj is not None and obj.shard else super().get_fields(request, obj)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Return the fields that are computed."""
        return ("state", "work_done", "shards") if obj is not None and obj.shard else ()

    @admin.display(description="command and work", ordering="command")
    def title(self, row: Checkpoint) -> SafeString:
        count = _sum_of(row).shard_count
        return _two_lines(f"{row.command}, {count} shards" if count > 1 else _command_of(row), row.description)

    @admin.display(description="done", ordering="work_done_count")
    def done(self, row: Any) -> str:
        return _sum_of(row).done_text

    @admin.display(description="last change", ordering="work_updated_at")
    def changed(self, row: Any) -> SafeString:
        return _two_lines(_sum_of(row).state_text, formatting.moment(row.work_updated_at))

    @admin.display(description="state")
    def state(self, row: Checkpoint) -> str:
        return WorkSum.of(_shards_of(row)).state_text

    @admin.display(description="done")
    def work_done(self, row: Checkpoint) -> str:
        return WorkSum.of(_shards_of(row)).done_text

    @admin.display(description="shards")
    def shards(self, row: Checkpoint) -> SafeString:
        return shard_table(_shards_of(row))


@admin.register(FinishedKey)
class FinishedKeyAdmin(WorkAdmin):
    """Shows the run keys under which work has finished, newest first."""

    list_display = ("title", "done", "finished")
    list_filter = ("finished_at", "command")
    search_fields = ("command", "run_key")
    ordering = ("-pk",)
    exclude = ("scope", "key_digest")

    @admin.display(description="run key and command", ordering="run_key")
    def title(self, row: FinishedKey) -> SafeString:
        return _two_lines(row.run_key, _command_of(row))

    @admin.display(description="finished", ordering="finished_at")
    def finished(self, row: FinishedKey) -> str:
        return formatting.moment(row.finished_at)


_SHARDED_FIELDS: Final = ("command", "description", "run_key", "state", "work_done", "shards")


def _shards_of(row: Checkpoint) -> list[Checkpoint]:
    return list(Checkpoint.objects.filter(scope=row.scope))


def _sum_of(row: Any) -> WorkSum:
    found: WorkSum = row.work_sum
    return found


def _two_lines(first: str, second: str) -> SafeString:
    # Both may contain marks that change the direction of the text after them.
    return format_html('<bdi>{}</bdi> <span class="rb-key"><bdi>{}</bdi></span>', _short(first), _short(second))


def _short(text: str) -> str:
    """Shorten a string to fit into a column."""
    return text if len(text) <= _MAX_CELL else f"{text[: _MAX_CELL - 1]}…"


def _command_of(row: Checkpoint | FailedRow | FinishedKey) -> str:
    return f"{row.command}, shard {row.shard}" if row.shard else row.command
