"""Judges what is unusual about a step by the figures of earlier runs."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from django_runbook import wording
from django_runbook.forecasts import samples
from django_runbook.forecasts.figures import RunFigures, StepFigures
from django_runbook.forecasts.samples import Sample, Samples
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


class StepHistory(Struct):
    """Holds the samples of a step from comparable runs, newest first; ``has_run`` are ones, and zeros for skips."""

    seconds: tuple[Sample, ...] = ()
    rows: tuple[Sample, ...] = ()
    output_size: tuple[Sample, ...] = ()
    captured_size: tuple[Sample, ...] = ()
    has_run: tuple[Sample, ...] = ()

    def forecast(self, day: datetime.date) -> Forecast | None:
        """Return what the step usually takes; None if there are too few samples."""
        return forecast_of(self.seconds, day)


class History(Struct):
    """Holds the runs that are comparable with a run, newest first."""

    runs: tuple[PastRun, ...] = ()

    def step(self, key: str, definition: str) -> StepHistory:
        """Return the samples of a step, of runs in which its definition was the same."""
        found = [
            (run.day, step)
            for run in self.runs
            if (step := run.figures.steps.get(key)) is not None and step.definition == definition
        ]
        done = [(day, step) for day, step in found if step.status == StepStatus.SUCCEEDED]
        return StepHistory(
            seconds=_samples((day, step.seconds) for day, step in done),
            rows=_samples((day, step.rows) for day, step in done),
            output_size=_samples((day, step.output_size) for day, step in done),
            captured_size=_samples((day, step.captured_size) for day, step in done),
            has_run=_samples(
                (day, 0 if step.status == StepStatus.SKIPPED else 1)
                for day, step in found
                if step.status in {*_RAN, StepStatus.SKIPPED}
            ),
        )

    def forecast(self, shape: str, day: datetime.date) -> Forecast | None:
        """Return what runs of the same steps usually take."""
        return forecast_of(
            _samples((run.day, run.figures.seconds) for run in self.runs if run.figures.shape == shape), day
        )


class Judgment(NamedTuple):
    """Describes what is unusual: ``kind`` is slow, rows, output or skipped."""

    kind: str
    text: str


def forecast_of(values: Samples, day: datetime.date) -> Forecast | None:
    """Return what usually is taken; None if there are too few samples."""
    if len(values) < samples.LEAST_SAMPLES:
        return None
    return Forecast(usual_seconds=samples.usual(values, day), most_seconds=samples.most(values), run_count=len(values))


def slow(history: StepHistory, day: datetime.date, seconds: float, *, is_running: bool) -> Judgment | None:
    """Judge the duration of a step, or its duration so far."""
    limit = samples.slow_limit(history.seconds, day)
    if limit is None or seconds < limit:
        return None
    took = wording.short_duration(seconds)
    usual = wording.short_duration(samples.usual(history.seconds, day))
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
        yield Judgment("rows", f"did 0 rows; usually {samples.usual(history.rows, day):,.0f}")
    if figures.captured_size == 0 and samples.is_unusually_none(history.captured_size, day, least_usual=least):
        usual = wording.number_of(round(samples.usual(history.captured_size, day)), "item")
        yield Judgment("output", f"captured an empty output; usually {usual}")
    elif figures.output_size == 0 and samples.is_unusually_none(history.output_size, day, least_usual=1):
        usual = wording.number_of(round(samples.usual(history.output_size, day)), "character")
        yield Judgment("output", f"printed nothing; usually {usual}")


def _share(history: StepHistory) -> str:
    ran = sum(1 for sample in history.has_run if sample.value)
    return "each of " if ran == len(history.has_run) else f"{ran:,} of "


def _samples(pairs: Iterable[tuple[datetime.date, float | None]]) -> tuple[Sample, ...]:
    return tuple(Sample(day, value) for day, value in pairs if value is not None)
