"""Refuses to resume a run if the runbook has changed in steps that do not run from their start."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator, Mapping

from django_runbook.document.outline import Entry, item_numbers, key_of
from django_runbook.exceptions import InvalidUsage
from django_runbook.journal.definitions import Definitions
from django_runbook.models import StepRun
from django_runbook.results import Role
from django_runbook.resume.choices import is_command
from django_runbook.resume.rows import has_no_result, is_done


def refuse_changes(rows: Collection[StepRun], definitions: Definitions) -> None:
    """Raise InvalidUsage with a diff of each changed step that is done or was interrupted."""
    outline = definitions.plan.outline
    found: dict[str, str] = {}
    for row in rows:
        key = key_of(row.step_id)
        if key in found or not _must_be_unchanged(row, outline):
            continue
        now, entry = definitions.of(row.step_id), outline.get(key)
        if now.digest != row.definition_hash:
            found[key] = "\n".join(_diff(key, row.definition, now.text))
        elif entry is not None and _is_in_other_loops(row, entry, outline):
            found[key] = f'step "{key}" is in a different loop now, or no longer in a loop'
    found |= {key: f'step "{key}" is new in a completed group' for key in _new_in_completed_groups(rows, outline)}
    if found:
        raise InvalidUsage(
            "steps that the run has completed, started or skipped have changed since; --accept-changes continues "
            "anyway\n" + "\n".join(found.values())
        )


def _must_be_unchanged(row: StepRun, outline: Mapping[str, Entry]) -> bool:
    if is_done(row):
        return True
    # A failed command runs again from its start, so that the file can be fixed.
    is_failed_command = (row.kind == "command" or is_command(outline, row.step_id)) and not has_no_result(row)
    return row.started_at is not None and not is_failed_command


def _is_in_other_loops(row: StepRun, entry: Entry, outline: Mapping[str, Entry]) -> bool:
    loop_count = sum(outline[key].step.for_each is not None for key in entry.group_keys)
    # An item has one number more than its loop.
    return len(item_numbers(row.step_id)) - loop_count not in ((0, 1) if entry.step.for_each is not None else (0,))


def _new_in_completed_groups(rows: Collection[StepRun], outline: Mapping[str, Entry]) -> Iterator[str]:
    """Yield the steps that would never be reached, because a completed group is not entered again."""
    inside: dict[str, set[str]] = {}
    for row in rows:
        for group_id in row.group_ids:
            inside.setdefault(group_id, set()).add(key_of(row.step_id))
    # A group that was never entered, such as a loop without items, has no rows of its steps.
    empty = [row for row in rows if row.kind != "command" and row.step_id not in inside]
    for row in rows:
        if row.kind == "command" or not is_done(row):
            continue
        known = inside.get(row.step_id, set())
        without = {key_of(one.step_id) for one in empty if row.step_id in (one.step_id, *one.group_ids)}
        for key, entry in outline.items():
            is_inside = entry.role is Role.STEP and key_of(row.step_id) in entry.group_keys
            if is_inside and key not in known and without.isdisjoint(entry.group_keys):
                yield key


def _diff(key: str, before: str, now: str) -> Iterator[str]:
    if not now:
        yield f'step "{key}" is no longer in the runbook'
        return
    yield from difflib.unified_diff(
        before.splitlines(), now.splitlines(), f"{key} (as it ran)", f"{key} (now)", lineterm="", n=100
    )
