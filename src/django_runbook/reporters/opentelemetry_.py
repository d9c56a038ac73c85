"""Traces and measures runs with OpenTelemetry, under the names of its conventions for CI/CD pipelines.

Only the API is used: the project sets up the SDK, and decides where the data goes.
"""

from __future__ import annotations

import datetime
import importlib
import logging
import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from django_runbook import events
from django_runbook.events import Event
from django_runbook.exceptions import InvalidUsage
from django_runbook.reporters import phrases
from django_runbook.reporters.http_post import PostError
from django_runbook.results import ExitCode, Failure, RunResult, RunStatus, StepResult, StepStatus

if TYPE_CHECKING:
    from opentelemetry.trace import Span, Tracer

NAME: Final = "django_runbook"
# The environment variables of a trace context.
VARIABLES: Final = ("TRACEPARENT", "TRACESTATE", "BAGGAGE")
_FLUSH_MILLISECONDS: Final = 4000
_EPOCH: Final = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_EXPORTERS: Final = "opentelemetry"
_STEP_RESULTS: Final = {
    StepStatus.SUCCEEDED: "success",
    StepStatus.FAILED: "failure",
    StepStatus.TIMED_OUT: "timeout",
    StepStatus.INTERRUPTED: "cancellation",
    StepStatus.SKIPPED: "skip",
    StepStatus.NOT_RUN: "skip",
}
_RUN_RESULTS: Final = {
    RunStatus.SUCCEEDED: "success",
    RunStatus.WARNING: "success",
    RunStatus.FAILED: "failure",
    RunStatus.INTERRUPTED: "cancellation",
    RunStatus.REFUSED: "skip",
}
_EXIT_RESULTS: Final = {int(ExitCode.TIMED_OUT): "timeout", int(ExitCode.INTERNAL_ERROR): "error"}


class OpenTelemetryReporter:
    """Makes a span of the run, and one below it for each group and each step that starts.

    ``setup`` is a function, or its import path, that sets up the SDK; it is called once, when the run starts. A trace
    context in the environment of the run is continued, and the process of each step gets its own.
    """

    ignored_events = (events.StepOutputWritten, events.StepProgress)

    def __init__(self, *, setup: str | Callable[[], object] | None = None) -> None:
        try:
            from opentelemetry import metrics, propagate, trace
        except ImportError as error:
            raise InvalidUsage("the backend needs OpenTelemetry: pip install django-runbook[opentelemetry]") from error
        self._trace, self._metrics, self._propagate = trace, metrics, propagate
        self._setup = _function(setup)
        self._log = _ExportErrors()
        self._tracer: Tracer = trace.NoOpTracer()
        self._instruments: _Instruments | None = None
        self._run: Span | None = None
        self._steps: dict[str, Span] = {}

    def __call__(self, event: Event) -> None:
        match event:
            case events.RunStarted():
                self._start_run(event)
            case events.StepStarted():
                self._start_step(event)
            case events.AttemptFailed():
                self._add_failure(self._steps.get(event.step_id), event.failure, at=event.at)
            case events.UnusualNoticed():
                attributes = {"django_runbook.unusual": event.kind, "django_runbook.text": event.text}
                if (span := self._steps.get(event.step_id) or self._run) is not None:
                    span.add_event("unusual", attributes, timestamp=_nanoseconds(event.at))
            case events.StepQueued():
                self._set(event.step_id, {"django_runbook.queue": event.queue})
            case events.StepClaimed():
                worker = {"cicd.worker.name": event.host, "cicd.worker.id": f"{event.host}:{event.pid}"}
                self._set(event.step_id, worker)
            case events.StepFinished() if not event.result.is_past:
                self._end_step(event)
            case events.RunFinished():
                self._end_run(event)

    def environ_of(self, step_id: str) -> dict[str, str]:
        """Return the trace context of a step as environment variables."""
        span = self._steps.get(step_id) or self._run
        if span is None:
            return {}
        carrier: dict[str, str] = {}
        self._propagate.inject(carrier, context=self._trace.set_span_in_context(span))
        return {name.upper(): value for name, value in carrier.items()}

    def close(self) -> None:
        """End what is open, and send what is waiting."""
        for span in (*reversed(self._steps.values()), self._run):
            if span is not None:
                span.end()
        self._steps, self._run = {}, None
        try:
            for provider in (self._trace.get_tracer_provider(), self._metrics.get_meter_provider()):
                # The API has no flush; a provider without one sends at once, or nowhere.
                flush = getattr(provider, "force_flush", None)
                if flush is not None and flush(_FLUSH_MILLISECONDS) is False:
                    raise PostError("spans or metrics were not sent in time")
        finally:
            self._log.stop()
        if self._log.first:
            raise PostError(self._log.first)

    def _start_run(self, event: events.RunStarted) -> None:
        self._log.start()
        if self._setup is not None:
            self._setup()
        self._tracer = self._trace.get_tracer(NAME)
        self._instruments = _Instruments(self._metrics.get_meter(NAME), pipeline=event.name)
        carrier = {name.lower(): os.environ[name] for name in VARIABLES if name in os.environ}
        self._run = self._tracer.start_span(
            f"RUN {event.name}",
            context=self._propagate.extract(carrier),
            kind=self._trace.SpanKind.SERVER,
            start_time=_nanoseconds(event.at),
            attributes={
                "cicd.pipeline.name": event.name,
                "cicd.pipeline.run.id": event.run_id,
                "cicd.pipeline.action.name": "RUN",
                "django_runbook.file": event.file,
                "django_runbook.attempt": event.attempt,
            },
        )
        self._instruments.count_active(1)

    def _start_step(self, event: events.StepStarted) -> None:
        parents = (self._steps.get(group_id) for group_id in reversed(event.group_ids))
        parent = next((span for span in parents if span is not None), self._run)
        attributes: dict[str, Any] = {
            "cicd.pipeline.task.name": event.name,
            "cicd.pipeline.task.run.id": event.step_id,
            "django_runbook.role": str(event.role),
        }
        if event.argv is not None:
            attributes["process.command_args"] = event.argv
        self._steps[event.step_id] = self._tracer.start_span(
            event.name,
            context=None if parent is None else self._trace.set_span_in_context(parent),
            start_time=_nanoseconds(event.at),
            attributes=attributes,
        )

    def _end_step(self, event: events.StepFinished) -> None:
        result = event.result
        span = self._steps.pop(result.step_id, None)
        if span is None:
            self._add_skipped(event)
            return
        span.set_attribute("cicd.pipeline.task.run.result", _STEP_RESULTS[result.status])
        self._fail(span, result.failure if result.is_failure else None, is_ignored=result.ignored, at=event.at)
        if result.is_failure and not result.is_group and self._instruments is not None:
            self._instruments.count_error(_error_type(result))
        span.end(_nanoseconds(event.at))

    def _add_skipped(self, event: events.StepFinished) -> None:
        """Add a step that did not start to the span around it: a span of its own would have no duration."""
        result = event.result
        if self._run is None or phrases.is_not_due(result):
            return
        around = next((self._steps[group] for group in reversed(event.group_ids) if group in self._steps), self._run)
        attributes = {
            "cicd.pipeline.task.name": result.name,
            "cicd.pipeline.task.run.id": result.step_id,
            "cicd.pipeline.task.run.result": _STEP_RESULTS[result.status],
            "django_runbook.reason": result.reason,
        }
        around.add_event(f"step {phrases.status(result)}", attributes, timestamp=_nanoseconds(event.at))

    def _end_run(self, event: events.RunFinished) -> None:
        result, span = event.result, self._run
        if span is None:
            return
        outcome = _EXIT_RESULTS.get(result.exit_code) or _RUN_RESULTS[result.status]
        span.set_attribute("cicd.pipeline.result", outcome)
        span.set_attribute("process.exit.code", result.exit_code)
        failure = result.failure if result.exit_code else None
        self._fail(span, failure, is_ignored=False, at=event.at)
        if result.exit_code and failure is None:
            span.set_status(self._trace.StatusCode.ERROR, result.reason or result.status)
        if self._instruments is not None:
            self._instruments.end_run(result, outcome)
        for step in reversed(self._steps.values()):
            step.end(_nanoseconds(event.at))
        span.end(_nanoseconds(event.at))
        self._steps, self._run = {}, None

    def _set(self, step_id: str, attributes: Mapping[str, str]) -> None:
        if (span := self._steps.get(step_id)) is not None:
            span.set_attributes(attributes)

    def _fail(self, span: Span, failure: Failure | None, *, is_ignored: bool, at: datetime.datetime) -> None:
        if failure is None:
            return
        span.set_attribute("error.type", failure.error_type)
        self._add_failure(span, failure, at=at)
        if not is_ignored:
            span.set_status(self._trace.StatusCode.ERROR, failure.message)

    def _add_failure(self, span: Span | None, failure: Failure, *, at: datetime.datetime) -> None:
        if span is not None:
            attributes = {"exception.type": failure.error_type, "exception.message": failure.message}
            if failure.traceback:
                attributes["exception.stacktrace"] = failure.traceback
            span.add_event("exception", attributes, timestamp=_nanoseconds(at))


class _Instruments:
    """Records the metrics of one run."""

    def __init__(self, meter: Any, *, pipeline: str) -> None:
        self._base = {"cicd.pipeline.name": pipeline}
        self._state = {**self._base, "cicd.pipeline.run.state": "executing"}
        self._active = meter.create_up_down_counter(
            "cicd.pipeline.run.active", unit="{run}", description="The number of pipeline runs currently active."
        )
        self._duration = meter.create_histogram(
            "cicd.pipeline.run.duration", unit="s", description="The duration of a pipeline run."
        )
        self._errors = meter.create_counter(
            "cicd.pipeline.run.errors", unit="{error}", description="The number of errors in pipeline runs."
        )

    def count_active(self, change: int) -> None:
        self._active.add(change, self._state)

    def count_error(self, error_type: str) -> None:
        self._errors.add(1, {**self._base, "error.type": error_type})

    def end_run(self, result: RunResult, outcome: str) -> None:
        self.count_active(-1)
        attributes = {**self._state, "cicd.pipeline.result": outcome}
        if result.exit_code and result.failure is not None:
            attributes["error.type"] = result.failure.error_type
        self._duration.record(result.duration_seconds, attributes)


class _ExportErrors(logging.Handler):
    """Keeps the first warning of the SDK, whose exporters raise nothing; Python would write it to standard error."""

    def __init__(self) -> None:
        super().__init__(level=logging.WARNING)
        self.first = ""

    def start(self) -> None:
        logging.getLogger(_EXPORTERS).addHandler(self)

    def stop(self) -> None:
        logging.getLogger(_EXPORTERS).removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        self.first = self.first or record.getMessage()


def _function(setup: object) -> Callable[[], object] | None:
    if isinstance(setup, str):
        module, _, name = setup.rpartition(".")
        try:
            setup = getattr(importlib.import_module(module), name)
        except (ImportError, ValueError, AttributeError) as error:
            raise InvalidUsage(f'"setup": "{setup}" cannot be imported: {error}') from error
    if setup is not None and not callable(setup):
        raise InvalidUsage('"setup" must be a function, or its import path')
    return setup


def _error_type(result: StepResult) -> str:
    return result.failure.error_type if result.failure is not None else result.status.value


def _nanoseconds(at: datetime.datetime) -> int:
    return (at - _EPOCH) // datetime.timedelta(microseconds=1) * 1000
