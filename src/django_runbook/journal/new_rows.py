"""Builds the rows of steps: one for each attempt, and one for each step that ended without having started."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any, Final

from django_runbook import events
from django_runbook.document.loops import digest_of
from django_runbook.document.outline import key_of
from django_runbook.document.runbook import CommandStep
from django_runbook.journal.definitions import Definitions
from django_runbook.journal.row_columns import columns_of_result
from django_runbook.models import Run, StepRun, stored
from django_runbook.models.fields import to_db_text
from django_runbook.results import StepResult

_SAME_IN_EACH_ATTEMPT: Final = ("name", "role", "kind", "group_ids", "argv", "item_hash", "file", "line")


class NewRows:
    """Builds the rows of one run.

    ``attempts`` are the attempt numbers that earlier attempts of the run have used for its steps.
    """

    def __init__(self, run: Run, *, definitions: Definitions, attempts: Mapping[str, int]) -> None:
        self._run = run
        self._definitions = definitions
        self._attempts = dict(attempts)
        self._item_hashes: dict[str, str] = {}
        self._unusual: defaultdict[str, list[str]] = defaultdict(list)

    def definition_of(self, step_id: str) -> str:
        """Return the digest of the definition of a step."""
        return self._definitions.of(step_id).digest

    def keep_item(self, step_id: str, item: object) -> None:
        """Remember the loop item of a step until its row is built."""
        self._item_hashes[step_id] = digest_of(item, mask=self._definitions.mask)

    def keep_unusual(self, step_id: str, text: str) -> None:
        """Remember what is unusual about a step until its row is built."""
        self._unusual[step_id].append(text)

    def attempt_of(self, step_id: str) -> int:
        """Return the attempt number of the last row of a step."""
        return self._attempts.get(step_id, 0)

    def started(self, event: events.StepStarted) -> StepRun:
        """Build the row of a step that starts."""
        is_command = event.argv is not None
        return self._new_row(
            event.step_id,
            name=to_db_text(event.name),
            role=event.role.value,
            kind="loop" if event.item_count is not None else "command" if is_command else "group",
            group_ids=event.group_ids,
            argv=event.argv,
            started_at=stored(event.at),
            item_hash=self._item_hashes.get(event.step_id, ""),
            file=to_db_text(event.file),
            line=event.line,
        )

    def retried(self, event: events.AttemptStarted, before: StepRun) -> StepRun:
        """Build the row of the attempt after ``before``."""
        same = {name: getattr(before, name) for name in _SAME_IN_EACH_ATTEMPT}
        return self._new_row(event.step_id, started_at=stored(event.at), **same)

    def ended(self, event: events.StepFinished) -> StepRun:
        """Build the row of a step that ended without having started."""
        result = event.result
        return self._new_row(
            result.step_id,
            name=to_db_text(result.name),
            role=result.role.value,
            kind=self._kind_of(result),
            group_ids=event.group_ids,
            item_hash=self._item_hashes.get(result.step_id, ""),
            status=result.status.value,
            file=to_db_text(result.file),
            line=result.line,
            finished_at=stored(event.at),
            unusual=self._unusual.pop(result.step_id, []),
            **columns_of_result(result),
        )

    def _kind_of(self, result: StepResult) -> str:
        if not result.is_group:
            return "command"
        entry = self._definitions.plan.outline.get(key_of(result.step_id))
        return "loop" if entry is not None and isinstance(entry.step, CommandStep) else "group"

    def _new_row(self, step_id: str, **columns: Any) -> StepRun:
        attempt = self._attempts.get(step_id, 0) + 1
        self._attempts[step_id] = attempt
        definition = self._definitions.of(step_id)
        return StepRun(
            run_id=self._run.pk,
            step_id=step_id,
            attempt=attempt,
            run_attempt=self._run.attempt_count,
            definition=to_db_text(definition.text),
            definition_hash=definition.digest,
            **columns,
        )
