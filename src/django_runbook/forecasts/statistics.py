"""Shows how the durations of a runbook have moved: its runs, its weeks, and its steps."""

from __future__ import annotations

import datetime
import statistics
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Final

from django_runbook import wording
from django_runbook.forecasts.history import day_of, query_history
from django_runbook.forecasts.judgments import History, StepHistory
from django_runbook.journal.reading.stored_comparison import notices_of
from django_runbook.models import Run
from django_runbook.results import RunStatus
from django_runbook.structs import Struct

# More than a year of nights.
MAX_RUNS: Final = 400
_COLUMNS: Final = (
    *("id", "started_at", "status", "duration_seconds", "attempt_count", "unusual"),
    *("figures_kind", "step_count"),
)
_FINE: Final = frozenset((RunStatus.SUCCEEDED.value, RunStatus.WARNING.value))


class RunPoint(Struct):
    """Holds one run; ``seconds`` is None unless it reached its end in one go."""

    id: str
    started_at: datetime.datetime
    status: str
    seconds: float | None
    unusual: tuple[str, ...]

    @property
    def day(self) -> datetime.date:
        return day_of(self.started_at)

    @property
    def is_failure(self) -> bool:
        return self.status in {RunStatus.FAILED.value, RunStatus.INTERRUPTED.value}


class Week(Struct):
    """Summarizes the runs that started in a week; the durations are None if no run reached its end."""

    begin: datetime.date
    run_count: int
    failed_count: int
    unusual_count: int
    median_seconds: float | None
    longest_seconds: float | None


class StepStatistics(Struct):
    """Summarizes the comparable runs of one step."""

    key: str
    run_count: int
    usual_seconds: float
    most_seconds: float
    usual_rows: float | None
    usual_output_size: float | None


class Statistics(Struct):
    """Holds the newest runs of a runbook, the oldest first, and those that can be compared with the newest one."""

    runbook: str
    points: tuple[RunPoint, ...]
    history: History

    @property
    def weeks(self) -> list[Week]:
        """Return the weeks with runs, the newest first."""
        found = groupby(self.points, lambda point: point.day - datetime.timedelta(days=point.day.weekday()))
        return [_week(begin, list(points)) for begin, points in found][::-1]

    @property
    def steps(self) -> list[StepStatistics]:
        """Return the steps of the newest run of those that can be compared, in the order in which they ended."""
        newest = self.history.runs[0].figures.steps if self.history.runs else {}
        found = (_step(key, self.history.step(key, figures.definition)) for key, figures in newest.items())
        return [step for step in found if step is not None]


def read_statistics(runbook: str, *, using: str) -> Statistics:
    """Read the newest runs of a runbook in one query, and the figures of a bounded part of them in another one."""
    rows = list(
        Run.objects.using(using)
        .of(runbook)
        .exclude(status=RunStatus.REFUSED.value)
        .newest_first()
        .values_list(*_COLUMNS)[:MAX_RUNS]
    )
    points = tuple(
        RunPoint(
            id=run_id,
            started_at=started_at,
            status=status,
            seconds=seconds if status in _FINE and attempt_count == 1 else None,
            unusual=tuple(f"{step_id}: {text}" for step_id, text in notices_of(unusual)),
        )
        for run_id, started_at, status, seconds, attempt_count, unusual, _kind, _count in rows
    )
    newest = next(((kind, count) for *_, kind, count in rows if kind), None)
    history = History() if newest is None else query_history(runbook, newest[0], step_count=newest[1], using=using)
    return Statistics(runbook=runbook, points=points[::-1], history=history)


def _week(begin: datetime.date, points: Sequence[RunPoint]) -> Week:
    taken = [point.seconds for point in points if point.seconds is not None]
    return Week(
        begin=begin,
        run_count=len(points),
        failed_count=sum(1 for point in points if point.is_failure),
        unusual_count=sum(1 for point in points if point.unusual),
        median_seconds=statistics.median(taken) if taken else None,
        longest_seconds=max(taken, default=None),
    )


def _step(key: str, past: StepHistory) -> StepStatistics | None:
    if not past.seconds:
        return None
    return StepStatistics(
        key=key,
        run_count=len(past.seconds),
        usual_seconds=past.seconds.median(),
        most_seconds=past.seconds.most(),
        usual_rows=past.rows.median() if past.rows else None,
        usual_output_size=past.output_size.median() if past.output_size else None,
    )


def text_lines(found: Statistics) -> Iterator[Sequence[Sequence[str]]]:
    """Yield two tables, each with its headings first."""

    def shown(seconds: float | None) -> str:
        return "" if seconds is None else wording.short_duration(seconds)

    yield [
        ("WEEK OF", "RUNS", "FAILED", "UNUSUAL", "MEDIAN", "LONGEST"),
        *(
            (
                week.begin.isoformat(),
                str(week.run_count),
                str(week.failed_count),
                str(week.unusual_count),
                shown(week.median_seconds),
                shown(week.longest_seconds),
            )
            for week in found.weeks
        ),
    ]
    yield [
        ("STEP", "RUNS", "MEDIAN", "95%", "ROWS", "CHARACTERS"),
        *(
            (
                step.key,
                str(step.run_count),
                shown(step.usual_seconds),
                shown(step.most_seconds),
                "" if step.usual_rows is None else f"{step.usual_rows:,.0f}",
                "" if step.usual_output_size is None else f"{step.usual_output_size:,.0f}",
            )
            for step in found.steps
        ),
    ]
