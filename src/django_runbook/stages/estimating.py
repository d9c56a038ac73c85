"""Estimates the steps of a plan: the rows, the batches and the duration of each batch command."""

from __future__ import annotations

import contextlib
import io
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from django.core.management.base import CommandError
from django.db import Error, connections

from django_runbook import conf
from django_runbook.batch.estimates import QUERY_SECONDS, Cascades, EstimateRequest, WorkEstimate
from django_runbook.batch.parts.read_only import read_only
from django_runbook.binding import catalog
from django_runbook.binding.parsers import new_parser
from django_runbook.binding.quiet import quiet
from django_runbook.cleaning import cleaned_line
from django_runbook.document.runbook import CommandStep
from django_runbook.exceptions import in_words, said
from django_runbook.models import Run, StepRun
from django_runbook.planning.listing import PlanNotes
from django_runbook.planning.plan import Plan
from django_runbook.planning.planned_step import PlannedStep
from django_runbook.results import StepStatus
from django_runbook.structs import Struct, field, replace
from django_runbook.wording import number_of, short_duration, speed

# The last rate is looked for in this many runs.
_RUNS: Final = 20
# A plan with a hundred shards on a slow database is shown after this time, with the estimates that it has by then.
PLAN_SECONDS: Final = 60.0
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
    estimator = _Estimator(ends_at=time.monotonic() + PLAN_SECONDS)
    lines: dict[str, list[str]] = {}
    others: dict[str, None] = {}
    for item in planned.steps.values():
        if not isinstance(item.step, CommandStep) or item.is_loop or item.key in unselected:
            continue
        name = str(item.step.command[0].value)
        if _is_batch_command(name):
            lines[item.id] = list(_lines_of(estimator.of_step(name, item), known.get(_step_of(item.id))))
        else:
            others[name] = None
    listed = f"not estimated: {', '.join(others)}" if others else ""
    return replace(notes, below=lambda step_id: lines.get(step_id, ()), others=listed)


def _lines_of(estimate: WorkEstimate, last: LastTime | None) -> Iterator[str]:
    if estimate.count is None:
        yield f"no estimate: {estimate.reason}" + (f"; {_last_text(last)}" if last is not None else "")
    else:
        because = f": {estimate.reason}" if estimate.reason else ""
        yield f"estimate: {', '.join(_parts(estimate, estimate.count, last))}{because}"
    yield from _cascade_lines(estimate.cascades)
    yield from (f"warning: {warning}" for warning in (*estimate.cascades.warnings, *estimate.warnings))


def _cascade_lines(cascades: Cascades) -> Iterator[str]:
    tables = [f"{table} {'?' if count is None else f'{count:,}'}" for table, count in cascades.counts.items()]
    if tables:
        yield f"cascades: {'at least ' if cascades.notes else ''}{', '.join(tables)}"
    elif cascades.notes:
        yield "cascades: unknown"
    yield from (f"note: {note}" for note in cascades.notes)


def _parts(estimate: WorkEstimate, count: int, last: LastTime | None) -> Iterator[str]:
    after = f" after {estimate.earlier_count:,} of an unfinished run" if estimate.earlier_count else ""
    yield f"{'about ' if estimate.is_about else ''}{number_of(count, 'row')}{after}"
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


class _Estimator(Struct):
    """Asks commands for their estimates, until the time of the plan is over."""

    ends_at: float
    known: dict[tuple[str, str], int | None] = field(default_factory=dict)

    def of_step(self, name: str, item: PlannedStep) -> WorkEstimate:
        """Return the estimate of a step."""
        if item.is_skipped:
            return WorkEstimate(reason="its condition is false")
        if not item.is_final:
            return WorkEstimate(reason="its arguments depend on an output")
        if item.binding.process.env:
            return WorkEstimate(reason="it runs with environment variables of its own")
        if time.monotonic() > self.ends_at:
            return WorkEstimate(reason=f"the estimates of this plan have taken {PLAN_SECONDS:g}s")
        try:
            return self._ask(name, item.binding.tokens)
        except CommandError as error:
            return WorkEstimate(reason=cleaned_line(str(error)))
        except SystemExit as error:
            return WorkEstimate(reason=f"{name} ended with exit code {cleaned_line(said(error)) or 0}")
        except Exception as error:  # noqa: BLE001 - a command that fails here must not fail the plan
            return WorkEstimate(reason=cleaned_line(in_words(error)))

    def _ask(self, name: str, tokens: Sequence[str]) -> WorkEstimate:
        """Ask a batch command for its estimate, while no database accepts a write or a long statement."""
        found: list[WorkEstimate] = []
        request = EstimateRequest(receive=found.append, ends_at=self.ends_at, known=self.known)
        command: Any = catalog.load(name)
        # In a dry run, a command acquires no lock, and does nothing before its work begins.
        options = vars(new_parser(command, name).parse_args(list(tokens)))
        args = options.pop("args", ())
        options |= {"dry_run": True, "skip_checks": True, _STEALTH: request}
        with _read_only(), quiet():
            nowhere = io.StringIO()
            command.execute(*args, **options, stdout=nowhere, stderr=nowhere)
        return found[0] if found else WorkEstimate(reason=f"{name} ended before its work began")


@contextlib.contextmanager
def _read_only() -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        for alias in connections:
            try:
                stack.enter_context(read_only(alias, statement_seconds=QUERY_SECONDS))
            except (CommandError, Error) as error:
                # Only a command that uses this database has no estimate.
                stack.enter_context(connections[alias].execute_wrapper(_refuse(error)))
        yield


def _refuse(error: Exception) -> Callable[..., Any]:
    def refuse(*args: object) -> Any:
        raise error

    return refuse


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
