"""Watches a run: forecasts its end, notices what is unlike earlier runs, and collects its figures."""

from __future__ import annotations

import datetime
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Final, Protocol

from django_runbook import clock, events
from django_runbook.exceptions import RunbookError, in_words
from django_runbook.forecasts import judgments, samples
from django_runbook.forecasts.collector import Collector
from django_runbook.forecasts.figures import ITEMS, figures_key
from django_runbook.forecasts.history import read_history
from django_runbook.forecasts.judgments import History, Judgment, StepHistory
from django_runbook.forecasts.subject import Subject
from django_runbook.results import ExitCode, Failure, Role, RunStatus, StepResult, StepStatus
from django_runbook.structs import MutableStruct, field

IGNORE: Final = "ignore"
FAIL: Final = "fail"
ERROR_TYPE: Final = "Unusual"


class WatchedJournal(Protocol):
    """Defines what the watch needs of the journal of the run."""

    def ask_later(self, question: Callable[[str], None]) -> None:
        """Call ``question`` with the database between two writes, unless the tables do not exist."""

    def call_later(self, call: Callable[[], None], *, seconds: float) -> None:
        """Call a function after a time, unless the run has ended, or has no thread for its writes."""

    def captured_of(self, step_id: str) -> list[object] | None:
        """Return the captured output of a running step, as a list with one value; None without one."""

    def keep_figures(self, figures: str, *, kind: str) -> None:
        """Store the figures with the end of the run."""


class RunWatch(MutableStruct):
    """Passes on the events of a run, with those that it adds; it is called from any thread.

    An error in it is reported once by ``report``, and ends the watch only. ``policy`` is the key ``unusual`` of the
    file.
    """

    new_subject: Callable[[], Subject]
    journal: WatchedJournal
    policy: str
    emit: events.Listener
    report: Callable[[str], None]
    _subject: Subject | None = None
    _collector: Collector | None = None
    _day: datetime.date = field(default_factory=lambda: clock.now().date())
    _is_active: bool = False
    _history: History | None = None
    _steps: dict[str, StepHistory] = field(default_factory=dict)
    _limits: dict[str, float | None] = field(default_factory=dict)
    _running: dict[str, events.StepStarted] = field(default_factory=dict)
    _skipped: set[str] = field(default_factory=set)
    _noticed: dict[tuple[str, str], events.UnusualNoticed] = field(default_factory=dict)
    _guard: Any = field(default_factory=threading.RLock)

    def __call__(self, event: events.Event) -> None:
        if isinstance(event, events.StepOutputWritten | events.StepProgress):
            # The most frequent ones.
            if self._collector is not None:
                self._collector.add(event)
            self.emit(event)
            return
        for noticed in self._guarded(lambda: list(self._before(event))) or ():
            self.emit(noticed)
        self.emit(event)
        self._guarded(lambda: self._after(event))

    def failure(self) -> Failure | None:
        """Return what fails the run at its end, if the file asks for that."""
        first, *more = self._noticed.values() or (None,)
        if first is None or self.policy != FAIL:
            return None
        rest = f" (and {len(more)} more)" if more else ""
        message = f"{first.step_id} {first.text}{rest}"
        return Failure(error_type=ERROR_TYPE, message=message, exit_code=ExitCode.FAILED, cause=first.step_id)

    def _guarded(self, call: Callable[[], Any]) -> Any:
        try:
            with self._guard:
                return call()
        except RunbookError:
            raise
        except Exception as error:  # noqa: BLE001 - no comparison with earlier runs may change a run
            self._is_active = False
            self.report(f"the run is not compared with earlier runs: {in_words(error)}")
            return None

    def _before(self, event: events.Event) -> Iterator[events.UnusualNoticed]:
        """Note an event, and yield what it shows to be unusual."""
        if isinstance(event, events.RunStarted):
            # A resumed run, and its steps, cannot be compared with those that ran in one go.
            self._is_active = event.attempt == 1 and not event.dry_run
            self._subject = self.new_subject() if self._is_active else None
        if not self._is_active or self._subject is None:
            return
        if self._collector is None:
            self._collector = Collector(
                definition_of=self._subject.definition_of,
                captured=self.journal.captured_of,
                unselected=self._subject.unselected,
            )
        self._collector.add(event)
        match event:
            case events.StepFinished():
                self._running.pop(event.result.step_id, None)
                yield from self._judge(event)
            case events.RunFinished():
                self._is_active = False
                self._keep_figures(event)

    def _after(self, event: events.Event) -> None:
        if not self._is_active:
            return
        match event:
            case events.RunStarted():
                self.journal.ask_later(lambda alias: self._guarded(lambda: self._load(alias)))
            case events.StepStarted() if event.argv is not None and self._is_judging:
                self._running[event.step_id] = event
                limit = self._limit_of(event.step_id)
                if limit is not None:
                    self.journal.call_later(lambda: self._check(event), seconds=limit)

    @property
    def _is_judging(self) -> bool:
        return self._history is not None and self.policy != IGNORE

    def _load(self, alias: str) -> None:
        assert self._subject is not None
        subject = self._subject
        self._history = read_history(subject.runbook, subject.kind, step_count=subject.step_count, using=alias)
        if self._history.notice:
            self.report(self._history.notice)
        forecast = self._history.forecast(self._subject.shape, self._day)
        if forecast is not None:
            now = clock.now()
            self.emit(
                events.ForecastMade(
                    at=now,
                    usual_seconds=forecast.usual_seconds,
                    most_seconds=forecast.most_seconds,
                    run_count=forecast.run_count,
                    end_at=clock.later(now, forecast.usual_seconds),
                )
            )

    def _check(self, started: events.StepStarted) -> None:
        """Judge a step that still runs; called by the thread of the journal."""

        def judge() -> Judgment | None:
            if not self._is_active or self._running.get(started.step_id) is not started:
                return None
            seconds = time.monotonic() - started.clock_seconds
            return judgments.slow(self._step(figures_key(started.step_id)), self._day, seconds, is_running=True)

        judgment = self._guarded(judge)
        if judgment is not None and (noticed := self._notice(started.step_id, judgment)) is not None:
            self._guarded(lambda: self.emit(noticed))

    def _judge(self, event: events.StepFinished) -> Iterator[events.UnusualNoticed]:
        result = event.result
        if not self._is_judging:
            return
        for judgment in self._judgments(result, event.group_ids):
            noticed = self._notice(result.step_id, judgment)
            if noticed is not None:
                yield noticed

    def _judgments(self, result: StepResult, group_ids: tuple[str, ...]) -> Iterator[Judgment]:
        assert self._subject is not None
        assert self._collector is not None
        key = figures_key(result.step_id)
        is_item, is_skipped = key.endswith(ITEMS), result.status is StepStatus.SKIPPED
        if not result.is_group and result.status is StepStatus.SUCCEEDED:
            judgment = judgments.slow(self._step(key), self._day, result.duration_seconds, is_running=False)
            yield from (judgment,) if judgment is not None else ()
        if is_skipped:
            is_inside = any(group_id in self._skipped for group_id in group_ids)
            self._skipped.add(result.step_id)
            if is_item or is_inside or result.role is not Role.STEP:
                return
        # The items of a loop are judged together, when the loop ends.
        keys = () if is_item else (key, key + ITEMS)
        for one in keys:
            if (figures := self._collector.steps.get(one)) is not None:
                yield from judgments.at_end(self._step(one), self._day, figures, reason=result.reason)

    def _notice(self, step_id: str, judgment: Judgment) -> events.UnusualNoticed | None:
        """Return the event of a judgment, unless the same was noticed before."""
        with self._guard:
            if (step_id, judgment.kind) in self._noticed:
                return None
            noticed = events.UnusualNoticed(at=clock.now(), step_id=step_id, kind=judgment.kind, text=judgment.text)
            self._noticed[step_id, judgment.kind] = noticed
            return noticed

    def _keep_figures(self, event: events.RunFinished) -> None:
        status = event.result.status
        if status is RunStatus.REFUSED or self._subject is None or self._collector is None:
            return
        is_whole = status in {RunStatus.SUCCEEDED, RunStatus.WARNING}
        seconds = event.result.duration_seconds if is_whole else None
        figures = self._subject.figures(seconds, self._collector.steps)
        self.journal.keep_figures(figures.to_text(), kind=self._subject.kind)

    def _step(self, key: str) -> StepHistory:
        if key not in self._steps:
            assert self._subject is not None
            assert self._history is not None
            self._steps[key] = self._history.step(key, self._subject.definition_of(key.removesuffix(ITEMS)))
        return self._steps[key]

    def _limit_of(self, step_id: str) -> float | None:
        key = figures_key(step_id)
        if key not in self._limits:
            self._limits[key] = samples.slow_limit(self._step(key).seconds, self._day)
        return self._limits[key]
