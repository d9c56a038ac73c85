"""Applies ``--rerun`` and ``--skip`` to the steps of the run that they name."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from django_runbook.document.outline import Entry, key_of
from django_runbook.document.runbook import CommandStep
from django_runbook.exceptions import InvalidUsage
from django_runbook.models import StepRun
from django_runbook.resume.rows import RunRows
from django_runbook.structs import Struct


class ResumeChoices(Struct):
    """Holds the choices of the person who resumes a run: ``rerun`` steps run again, ``skip`` marks steps as done."""

    rerun: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    accepts_changes: bool = False

    def is_rerun(self, row: StepRun) -> bool:
        """Return whether ``--rerun`` names this step, or a loop, group or runbook around it."""
        return _is_named(row, self.rerun)

    def is_skipped(self, row: StepRun) -> bool:
        """Return whether ``--skip`` names this step, or its loop as a whole."""
        return not {row.step_id, key_of(row.step_id)}.isdisjoint(self.skip)


def steps_to_rerun(rows: RunRows, choices: ResumeChoices, outline: Mapping[str, Entry]) -> set[str]:
    """Return the ids of the steps that ``--rerun`` names; raises InvalidUsage for a name without a step."""
    commands = [step_id for step_id, kind in rows.kinds.items() if kind == "command" or is_command(outline, step_id)]
    _check_names("--rerun", choices.rerun, rows.kinds, what="step")
    _check_names("--skip", choices.skip, commands, what="step that calls a command")
    found: set[str] = set()
    for name in choices.rerun:
        named = {step_id for step_id, row in rows.latest.items() if _is_named(row, [name])}
        rerun = {step_id for step_id in named if not choices.is_skipped(rows.latest[step_id])}
        if named and not rerun:
            raise InvalidUsage(f"--rerun {name}: --skip marks it as done; pass only one of the two")
        found |= rerun
    return found


def is_command(outline: Mapping[str, Entry], step_id: str) -> bool:
    """Return whether the runbook now defines this step as a command."""
    entry = outline.get(key_of(step_id))
    return entry is not None and isinstance(entry.step, CommandStep)


def _check_names(option: str, names: Sequence[str], step_ids: Collection[str], *, what: str) -> None:
    # The id of a loop names all of its items.
    known = {*step_ids, *map(key_of, step_ids)}
    for name in names:
        if name not in known:
            raise InvalidUsage(f"{option} {name}: the run has no {what} with this id")


def _is_named(row: StepRun, names: Collection[str]) -> bool:
    ids = (row.step_id, key_of(row.step_id), *row.group_ids, *map(key_of, row.group_ids))
    return any(one in names for one in ids)
