"""Estimates the steps of a plan: the rows, the batches and the duration of each batch command."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from django.core.management.base import CommandError
from django.db import Error, connections

from django_runbook import conf
from django_runbook.batch.estimates import WorkEstimate
from django_runbook.batch.parts.read_only import read_only
from django_runbook.binding import catalog
from django_runbook.binding.parsers import new_parser
from django_runbook.cleaning import cleaned_line
from django_runbook.document.runbook import CommandStep
from django_runbook.exceptions import in_words
from django_runbook.models import Run, StepRun
from django_runbook.planning.listing import PlanNotes
from django_runbook.planning.plan import Plan
from django_runbook.planning.planned_step import PlannedStep
from django_runbook.results import StepStatus
from django_runbook.structs import Struct, replace
from django_runbook.wording import number_of, short_duration, speed

# The last rate is looked for in this many runs.
_RUNS: Final = 20
_STEALTH: Final = "estimate"


class LastTime(Struct):
    """Holds what the last success of a step did."""

    done_count: int
    seconds: float


def with_estimates(
    notes: PlanNotes, planned: Plan, unselected: Mapping[str, str], *, runbook: str, is_recorded: bool
) -> PlanNotes:
    """Add the estimates of the selected commands to the notes on a plan.

    ``runbook`` is its key in the history, which has the rates of earlier runs if it is recorded.
    """
    known = _last_times(runbook) if is_recorded else {}
    lines: dict[str, list[str]] = {}
    others: dict[str, None] = {}
    for item in planned.steps.values():
        if not isinstance(item.step, CommandStep) or item.is_loop or item.key in unselected:
            continue
        name = str(item.step.command[0].value)
        if _is_batch_command(name):
            lines[item.id] = list(_lines_of(name, item, known.get(_step_of(item.id))))
        else:
            others[name] = None
    listed = f"not estimated: {', '.join(others)}" if others else ""
    return replace(notes, below=lambda step_id: lines.get(step_id, ()), others=listed)


def _lines_of(name: str, item: PlannedStep, last: LastTime | None) -> Iterator[str]:
    reason = "its arguments depend on an output"
    estimate = _estimate(name, item.binding.tokens) if item.is_final else WorkEstimate(reason=reason)
    if estimate.reason:
        yield f"no estimate: {estimate.reason}" + (f"; {_last_text(last)}" if last is not None else "")
    if estimate.count is not None:
        yield f"estimate: {', '.join(_parts(estimate, estimate.count, last))}"
    if estimate.cascades:
        listed = (f"{table} {'?' if count is None else f'{count:,}'}" for table, count in estimate.cascades.items())
        yield f"cascades: {', '.join(listed)}"
    yield from (f"warning: {warning}" for warning in estimate.warnings)


def _parts(estimate: WorkEstimate, count: int, last: LastTime | None) -> Iterator[str]:
    yield f"{'about ' if estimate.is_about else ''}{number_of(count, 'row')}"
    if estimate.batch_count and estimate.batch_size is not None:
        batches = "1 batch" if estimate.batch_count == 1 else f"{estimate.batch_count:,} batches"
        yield f"{batches} of at most {estimate.batch_size:,}"
    if last is not None and count:
        rate = last.done_count / last.seconds
        yield f"about {short_duration(count / rate)} at the last rate of {speed(rate)}"


def _last_text(last: LastTime) -> str:
    return f"last time {number_of(last.done_count, 'row')} in {short_duration(last.seconds)}"


def _is_batch_command(name: str) -> bool:
    try:
        return _STEALTH in getattr(catalog.load(name), "stealth_options", ())
    except Exception:  # noqa: BLE001 - the check of the plan has reported it
        return False


def _estimate(name: str, tokens: Sequence[str]) -> WorkEstimate:
    """Ask a batch command for its estimate, while no database accepts a write."""
    found: list[WorkEstimate] = []
    try:
        command: Any = catalog.load(name)
        parser = new_parser(command, name)
        # In a dry run, a command acquires no lock, and does nothing before its work begins.
        options = {**vars(parser.parse_args(list(tokens))), "dry_run": True, "skip_checks": True}
        args = options.pop("args", ())
        with _read_only():
            nowhere = io.StringIO()
            command.execute(*args, **options, stdout=nowhere, stderr=nowhere, **{_STEALTH: found.append})
    except CommandError as error:
        return WorkEstimate(reason=cleaned_line(str(error)))
    except Exception as error:  # noqa: BLE001 - a command that fails here must not fail the plan
        return WorkEstimate(reason=cleaned_line(in_words(error)))
    return found[0] if found else WorkEstimate(reason=f"{name} has ended before its work began")


@contextlib.contextmanager
def _read_only() -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        for alias in connections:
            stack.enter_context(read_only(alias))
        yield


def _last_times(runbook: str) -> dict[str, LastTime]:
    """Return the last success of each step; empty if the history cannot be read."""
    using = conf.journal_alias()
    try:
        runs = list(Run.objects.using(using).of(runbook).newest_first().values_list("pk", flat=True)[:_RUNS])
        rows = StepRun.objects.using(using).filter(
            run__in=runs, status=StepStatus.SUCCEEDED.value, done_count__gt=0, duration_seconds__gt=0
        )
        values = list(rows.order_by("pk").values_list("step_id", "done_count", "duration_seconds"))
    except Error:
        return {}
    return {
        _step_of(step_id): LastTime(done_count=done_count, seconds=seconds)
        for step_id, done_count, seconds in values
        if done_count and seconds
    }


def _step_of(step_id: str) -> str:
    """Return the step of an item of a loop: all items have the rate of the last one."""
    return step_id.partition("[")[0]
