"""Sums the shards of a piece of work, and lists each of them."""

from __future__ import annotations

from collections.abc import Sequence

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from django_runbook.models.checkpoints import Checkpoint
from django_runbook.pages import formatting
from django_runbook.structs import Struct


class WorkSum(Struct):
    """Sums the checkpoints of a piece of work; ``total_count`` is None unless it is known for each shard."""

    shard_count: int
    finished_count: int
    done_count: int
    failed_count: int
    total_count: int | None

    @classmethod
    def of(cls, rows: Sequence[Checkpoint]) -> WorkSum:
        """Add up the rows."""
        totals = [row.total_count for row in rows]
        known = [count for count in totals if count is not None]
        return cls(
            shard_count=len(rows),
            finished_count=sum(row.finished_at is not None for row in rows),
            done_count=sum(row.done_count for row in rows),
            failed_count=sum(row.failed_count for row in rows),
            total_count=sum(known) if len(known) == len(totals) else None,
        )

    @property
    def done_text(self) -> str:
        """Return ``1,200 of 5,000 (3 failed)``; the total and the failures only if there are any."""
        total = "" if self.total_count is None else f" of {formatting.number(self.total_count)}"
        failed = f" ({formatting.number(self.failed_count)} failed)" if self.failed_count else ""
        return f"{formatting.number(self.done_count)}{total}{failed}"

    @property
    def state_text(self) -> str:
        """Return whether the work is finished, and how many of its shards are."""
        if self.finished_count == self.shard_count:
            return "finished"
        return (
            f"{self.finished_count} of {self.shard_count} shards finished" if self.shard_count > 1 else "not finished"
        )


def shard_table(rows: Sequence[Checkpoint]) -> SafeString:
    """Return a table with the state of each shard, in the order of their numbers."""
    heads = format_html_join("", "<th>{}</th>", ((head,) for head in ("shard", "state", "done", "changed", "holder")))
    ordered = sorted(rows, key=lambda row: int(row.shard.partition("/")[0] or 0))
    lines = format_html_join(
        "",
        "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td><bdi>{}</bdi></td></tr>",
        (
            (row.shard, _state(row), WorkSum.of([row]).done_text, formatting.moment(row.updated_at), row.holder)
            for row in ordered
        ),
    )
    return format_html("<table><thead><tr>{}</tr></thead><tbody>{}</tbody></table>", heads, lines)


def _state(row: Checkpoint) -> str:
    if row.finished_at is not None:
        return "finished"
    return "not finished" if row.owner else "not started"
