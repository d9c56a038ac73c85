"""Judges what is unusual about a step by the figures of earlier runs."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Final, NamedTuple

from django_runbook import wording
from django_runbook.forecasts import samples
from django_runbook.forecasts.figures import RunFigures, StepFigures
from django_runbook.forecasts.samples import Samples
from django_runbook.results import StepStatus
from django_runbook.structs import Struct

_RAN: Final = frozenset(
    (StepStatus.SUCCEEDED.value, StepStatus.FAILED.value, StepStatus.TIMED_OUT.value, StepStatus.INTERRUPTED.value)
)


class PastRun(NamedTuple):
    """Holds the figures of an earlier run and the day on which it started."""

    day: datetime.date
    figures: RunFigures


class Forecast(Struct):
    """Holds what a step or a run usually takes: the median of similar days, and the 95th percentile of all."""

    usual_seconds: float
    most_seconds: float
    run_count: int

    @property
    def text(self) -> str:
        """Describe it in a few words."""
        return wording.usually(self.usual_seconds, self.most_seconds, run_count=self.run_count)


class StepHistory:
    """Holds the figures of a step from comparable runs, newest first."""

    def __init__(self, figures: Sequence[tuple[datetime.date, StepFigures]] = ()) -> None:
        self._figures = figures
        self._done = [(day, step) for day, step in figures if step.status == StepStatus.SUCCEEDED]

    @cached_property
    def seconds(self) -> Samples:
        return Samples.of((day, step.seconds) for day, step in self._done)

    @cached_property
    def rows(self) -> Samples:
        return Samples.of((day, step.rows) for day, step in self._done)

    @cached_property
    def output_size(self) -> Samples:
        return Samples.of((day, step.output_size) for day, step in self._done)

    @cached_property
    def captured_size(self) -> Samples:
        return Samples.of((day, step.captured_size) for day, step in self._done)

    @cached_property
    def has_run(self) -> Samples:
        """Return ones, and zeros for skips."""
        known = {*_RAN, StepStatus.SKIPPED.value}
        return Samples.of(
            (day, 0 if step.status == StepStatus.SKIPPED else 1) for day, step in self._figures if step.status in known
        )

    def forecast(self, day: datetime.date) -> Forecast | None:
        """Return what the step usually takes; None if there are too few samples."""
        return forecast_of(self.seconds, day)


class History(Struct):
    """Holds the runs that are comparable with a run, newest first; ``broken`` are those whose figures are not read."""

    runs: tuple[PastRun, ...] = ()
    broken: tuple[str, ...] = ()

    @property
    def notice(self) -> str:
        """Say that runs are left out, and why; empty if none are."""
        if not self.broken:
            return ""
        count = wording.number_of(len(self.broken), "run")
        return f"the stored figures of {count} cannot be read, which are left out ({self.broken[0]})"

    def step(self, key: str, definition: str) -> StepHistory:
        """Return the figures of a step, of runs in which its definition was the same."""
        return StepHistory(
            [
                (run.day, step)
                for run in self.runs
                if (step := run.figures.steps.get(key)) is not None and step.definition == definition
            ]
        )

    def forecast(self, shape: str, day: datetime.date) -> Forecast | None:
        """Return what runs of the same steps usually take."""
        return forecast_of(
            Samples.of((run.day, run.figures.seconds) for run in self.runs if run.figures.shape == shape), day
        )


class Judgment(NamedTuple):
    """Describes what is unusual: ``kind`` is slow, rows, output or skipped."""

    kind: str
    text: str


def forecast_of(values: Samples, day: datetime.date) -> Forecast | None:
    """Return what usually is taken; None if there are too few samples."""
    if len(values) < samples.LEAST_SAMPLES:
        return None
    return Forecast(usual_seconds=values.usual(day), most_seconds=values.most(), run_count=len(values))


def slow(history: StepHistory, day: datetime.date, seconds: float, *, is_running: bool) -> Judgment | None:
    """Judge the duration of a step, or its duration so far."""
    limit = samples.slow_limit(history.seconds, day)
    if limit is None or seconds < limit:
        return None
    took = wording.short_duration(seconds)
    usual = wording.short_duration(history.seconds.usual(day))
    return Judgment("slow", f"{f'still running after {took}' if is_running else f'took {took}'}; usually {usual}")


def at_end(history: StepHistory, day: datetime.date, figures: StepFigures, *, reason: str = "") -> Iterator[Judgment]:
    """Judge a step that ended, besides its duration; ``reason`` says why it was skipped."""
    if figures.status == StepStatus.SKIPPED:
        if samples.is_unusually_none(history.has_run, day, least_usual=1):
            count = wording.number_of(len(history.has_run), "comparable run")
            yield Judgment("skipped", f"skipped{f' ({reason})' if reason else ''}; it ran in {_share(history)}{count}")
        return
    if figures.status != StepStatus.SUCCEEDED:
        return
    least = samples.LEAST_USUAL_COUNT
    if figures.rows == 0 and samples.is_unusually_none(history.rows, day, least_usual=least):
        yield Judgment("rows", f"did 0 rows; usually {history.rows.usual(day):,.0f}")
    if figures.captured_size == 0 and samples.is_unusually_none(history.captured_size, day, least_usual=least):
        usual = wording.number_of(round(history.captured_size.usual(day)), "item")
        yield Judgment("output", f"captured an empty output; usually {usual}")
    elif figures.output_size == 0 and samples.is_unusually_none(history.output_size, day, least_usual=1):
        usual = wording.number_of(round(history.output_size.usual(day)), "character")
        yield Judgment("output", f"printed nothing; usually {usual}")


def _share(history: StepHistory) -> str:
    ran = sum(1 for sample in history.has_run.all if sample.value)
    return "each of " if ran == len(history.has_run) else f"{ran:,} of "
