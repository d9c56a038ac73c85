"""Prepares the page with the durations of a runbook: a plot, and the same as tables."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from typing import Final

from django_runbook import wording
from django_runbook.forecasts.statistics import RunPoint, Statistics, StepStatistics, Week
from django_runbook.pages import formatting
from django_runbook.structs import Struct

# The plot in its own units; the page scales it.
WIDTH: Final = 1000
HEIGHT: Final = 260
_LEFT: Final = 70
_TOP: Final = 12
_BOTTOM: Final = 28
_RIGHT: Final = 10
_MAX_LINES: Final = 5
_STEPS: Final = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400)
_RECENT: Final = 7


class Mark(Struct):
    """Draws a run; ``text`` describes it."""

    x: str
    y: str
    radius: str
    status: str
    text: str
    url: str


class GridLine(Struct):
    """Draws a round duration, or the beginning of a month."""

    at: str
    label: str


class Plot(Struct):
    """Draws the durations of runs over time, and the median of seven runs as a line."""

    marks: tuple[Mark, ...]
    line: str
    durations: tuple[GridLine, ...]
    dates: tuple[GridLine, ...]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = _LEFT
    right: int = WIDTH - _RIGHT
    bottom: int = HEIGHT - _BOTTOM


class WeekRow(Struct):
    """Shows one week."""

    begin: str
    run_count: str
    failed_count: str
    unusual_count: str
    median: str
    longest: str


class StepRow(Struct):
    """Shows what one step usually takes."""

    key: str
    run_count: str
    usual: str
    most: str
    rows: str
    output_size: str


class StatisticsPage(Struct):
    """Holds the content of the page; ``summary`` says in words what the plot shows, ``notice`` what is left out."""

    runbook: str
    run_count: int
    summary: str
    notice: str
    plot: Plot | None
    weeks: tuple[WeekRow, ...]
    steps: tuple[StepRow, ...]


def statistics_page(statistics: Statistics, *, url_of: Callable[[str], str]) -> StatisticsPage:
    """Create the page."""
    taken = [point for point in statistics.points if point.seconds is not None]
    weeks = statistics.weeks
    return StatisticsPage(
        runbook=statistics.runbook,
        run_count=len(statistics.points),
        summary=_summary(statistics, weeks),
        notice=statistics.history.notice,
        plot=_plot(taken, url_of) if len(taken) > 1 else None,
        weeks=tuple(map(_week_row, weeks)),
        steps=tuple(map(_step_row, statistics.steps)),
    )


def _summary(statistics: Statistics, weeks: Sequence[Week]) -> str:
    failed = sum(1 for point in statistics.points if point.is_failure)
    unusual = sum(1 for point in statistics.points if point.unusual)
    parts = [wording.number_of(len(statistics.points), "run"), f"{failed:,} failed", f"{unusual:,} unusual"]
    known = [week.median_seconds for week in weeks if week.median_seconds is not None]
    if known:
        first, last = wording.short_duration(known[-1]), wording.short_duration(known[0])
        parts.append(f"median {first} in the first week, {last} in the last")
    return "; ".join((", ".join(parts[:3]), *parts[3:]))


def _plot(points: Sequence[RunPoint], url_of: Callable[[str], str]) -> Plot:
    first, last = points[0].started_at, points[-1].started_at
    span = max((last - first).total_seconds(), 1.0)
    highest = max(point.seconds or 0.0 for point in points) or 1.0
    step = next((one for one in _STEPS if highest / one <= _MAX_LINES), highest)
    top = step * (int(highest / step) + 1)

    def x(at: datetime.datetime) -> float:
        return _LEFT + (WIDTH - _LEFT - _RIGHT) * (at - first).total_seconds() / span

    def y(seconds: float) -> float:
        return HEIGHT - _BOTTOM - (HEIGHT - _BOTTOM - _TOP) * seconds / top

    marks = tuple(
        Mark(
            x=f"{x(point.started_at):.1f}",
            y=f"{y(point.seconds or 0):.1f}",
            radius="5.5" if point.unusual else "3.5",
            status="warning" if point.unusual else point.status,
            text=_mark_text(point),
            url=url_of(point.id),
        )
        for point in points
    )
    recent = [(point, points[max(0, n + 1 - _RECENT) : n + 1]) for n, point in enumerate(points)]
    line = " ".join(f"{x(point.started_at):.1f},{y(_median(some)):.1f}" for point, some in recent)
    lines = (n * step for n in range(int(top / step) + 1))
    return Plot(
        marks=marks,
        line=line,
        durations=tuple(
            GridLine(at=f"{y(seconds):.1f}", label=wording.exact_duration(round(seconds, 1)) if seconds else "0")
            for seconds in lines
        ),
        dates=tuple(
            GridLine(at=f"{x(point.started_at):.1f}", label=f"{point.day:%Y-%m-%d}") for point in _dated(points)
        ),
    )


def _dated(points: Sequence[RunPoint]) -> list[RunPoint]:
    """Return points for labels of dates that do not overlap."""
    last = len(points) - 1
    return [points[n * last // _MAX_LINES] for n in range(_MAX_LINES)]


def _median(points: Sequence[RunPoint]) -> float:
    values = sorted(point.seconds or 0.0 for point in points)
    return values[len(values) // 2]


def _mark_text(point: RunPoint) -> str:
    took = wording.short_duration(point.seconds or 0)
    unusual = f"; unusual: {'; '.join(point.unusual)}" if point.unusual else ""
    return f"{formatting.moment(point.started_at)}: {took}, {point.status}{unusual}"


def _week_row(week: Week) -> WeekRow:
    return WeekRow(
        begin=week.begin.isoformat(),
        run_count=formatting.number(week.run_count),
        failed_count=formatting.number(week.failed_count),
        unusual_count=formatting.number(week.unusual_count),
        median=formatting.took(week.median_seconds),
        longest=formatting.took(week.longest_seconds),
    )


def _step_row(step: StepStatistics) -> StepRow:
    return StepRow(
        key=step.key,
        run_count=formatting.number(step.run_count),
        usual=formatting.took(step.usual_seconds),
        most=formatting.took(step.most_seconds),
        rows="" if step.usual_rows is None else formatting.number(round(step.usual_rows)),
        output_size="" if step.usual_output_size is None else formatting.number(round(step.usual_output_size)),
    )
