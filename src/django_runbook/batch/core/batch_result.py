"""Summarizes a run of a batch command."""

from __future__ import annotations

from django_runbook.structs import Struct


class BatchResult(Struct):
    """Counts the rows of a run; ``earlier_count`` of them were done by earlier runs that were interrupted.

    ``left_count`` is for ``--retry-failed``: the number of failed rows that were not retried.
    """

    done_count: int
    failed_count: int
    earlier_count: int = 0
    left_count: int = 0
    is_complete: bool = True
    is_dry_run: bool = False

    @property
    def remaining_text(self) -> str:
        """Return what remains, as the end of a summary; a dry run leaves no checkpoint to continue from."""
        if self.left_count:
            text = f"; {self.left_count:,} not retried"
            return text if self.is_dry_run else f"{text}; --retry-failed continues with them"
        if self.is_complete:
            return ""
        return "; more rows remain" if self.is_dry_run else "; the next run continues from there"
