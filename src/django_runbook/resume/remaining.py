"""Computes what remains of an unfinished run: which steps are done, and which choices their rows still need."""

from __future__ import annotations

from collections.abc import Mapping

from django_runbook import conf
from django_runbook.cleaning import Mask
from django_runbook.document.outline import key_of
from django_runbook.document.read_outputs import steps_read
from django_runbook.exceptions import InvalidUsage
from django_runbook.journal.definitions import Definitions
from django_runbook.models import RUNNING, Run
from django_runbook.planning.plan import Plan
from django_runbook.resume.changes import refuse_changes
from django_runbook.resume.choices import ResumeChoices, steps_to_rerun
from django_runbook.resume.in_doubt import AskText, InDoubtResolver, Resolution
from django_runbook.resume.loop_items import has_item, refuse_other_items
from django_runbook.resume.open_calls import LeftCalls, find_left_calls, is_called
from django_runbook.resume.read_outputs import refuse_missing_outputs
from django_runbook.resume.repeatable import RepeatableCommands
from django_runbook.resume.rows import RunRows, read_rows
from django_runbook.runner.past import Past, PastItem
from django_runbook.structs import Struct, field, replace


class Remaining(Struct):
    """Holds the results of earlier attempts for the runner, and for the journal the attempt numbers in use.

    ``skipped_pks`` are the keys of the rows that ``--skip`` marks as done.
    """

    past: Past = field(default_factory=Past)
    attempts: Mapping[str, int] = field(default_factory=dict)
    skipped_pks: tuple[int, ...] = ()


def remaining_steps(
    run: Run,
    choices: ResumeChoices,
    *,
    plan: Plan,
    unselected: Mapping[str, str],
    ask: AskText | None,
    mask: Mask,
) -> Remaining:
    """Compute what remains of a run; raises InvalidUsage if the run cannot be resumed as it is.

    ``unselected`` maps the keys of the steps that the run began without to the reason.
    """
    for name in choices.rerun:
        if reason := unselected.get(key_of(name)):
            raise InvalidUsage(f"--rerun {name}: the run began without this step ({reason})")
    rows = read_rows(run, using=conf.journal_alias(), needs_output=steps_read(plan.outline))
    rerun = steps_to_rerun(rows, choices, plan.outline)
    if not choices.accepts_changes:
        refuse_changes(rows.latest.values(), Definitions(plan=plan, mask=mask))
    refuse_other_items(rows, plan, mask=mask)
    left = LeftCalls()
    if rows.latest:
        left = find_left_calls(run, rows.latest, rerun=rerun, using=conf.journal_alias())
    reopened = rerun | {group_id for step_id in rerun for group_id in rows.latest[step_id].group_ids}
    resolver = InDoubtResolver(
        outline=plan.outline,
        choices=choices,
        ask=ask,
        repeatable=RepeatableCommands(own=conf.read().idempotent),
        known=left.known,
    )
    resolution = resolver.resolve(rows.latest, reopened=reopened)
    past = _past_of(rows, resolution, rerun=rerun, reopened=reopened)
    # Nothing continues the call of a step that ``--skip`` marks as done, or that the runbook no longer has.
    called = [one for one in left.open if one not in past.done and is_called(one, plan.outline)]
    past = replace(past, open_calls={step_id: left.open[step_id] for step_id in called})
    refuse_missing_outputs(rows.latest, past.done, plan.outline)
    return Remaining(past=past, attempts=rows.attempts, skipped_pks=tuple(resolution.skipped_pks))


def _past_of(rows: RunRows, resolution: Resolution, *, rerun: set[str], reopened: set[str]) -> Past:
    done = {step_id: rows.past(step_id) for step_id in resolution.done if step_id not in reopened}
    done_inside = {
        step_id: rows.past(step_id)
        for step_id, row in rows.latest.items()
        if step_id not in done and row.status != RUNNING and not done.keys().isdisjoint(row.group_ids)
    }
    items = {
        step_id: PastItem(name=row.name, item_hash=row.item_hash)
        for step_id, row in rows.latest.items()
        if has_item(row) and step_id not in rerun
    }
    return Past(
        done=done,
        done_inside=done_inside,
        started=frozenset(rows.started),
        succeeded_counts=rows.succeeded,
        items=items,
        has_failed_handler=rows.has_failed_handler_in(done),
    )
