"""Tests spans and metrics with the SDK of OpenTelemetry, which keeps them in memory."""

from __future__ import annotations

import logging
import sys
from typing import Any

import pytest
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.semconv._incubating.attributes import cicd_attributes
from opentelemetry.semconv._incubating.metrics import cicd_metrics

from django_runbook import events
from django_runbook.events import Event
from django_runbook.exceptions import InvalidUsage
from django_runbook.reporters.http_post import PostError
from django_runbook.reporters.opentelemetry_ import OpenTelemetryReporter
from django_runbook.results import RunResult, RunStatus, StepStatus
from tests.reporters.scenes import AT, BUG, CONCURRENT, QUEUED, RUN, after, ended, finished, result, send, started

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
BEGIN = RUN[0]


class Memory:
    """Keeps what the reporter under test makes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.exporter = InMemorySpanExporter()
        self.reader = InMemoryMetricReader()
        tracers = TracerProvider(shutdown_on_exit=False)
        tracers.add_span_processor(SimpleSpanProcessor(self.exporter))
        meters = MeterProvider([self.reader], shutdown_on_exit=False)
        monkeypatch.setattr(trace, "get_tracer_provider", lambda: tracers)
        monkeypatch.setattr(trace, "get_tracer", tracers.get_tracer)
        monkeypatch.setattr(metrics, "get_meter_provider", lambda: meters)
        monkeypatch.setattr(metrics, "get_meter", meters.get_meter)

    def report(self, listed: list[Event]) -> None:
        reporter = OpenTelemetryReporter()
        send(reporter, [event for event in listed if not isinstance(event, reporter.ignored_events)])
        reporter.close()

    @property
    def spans(self) -> dict[str, ReadableSpan]:
        return {span.name: span for span in self.exporter.get_finished_spans()}

    def points(self) -> dict[str, list[Any]]:
        data = self.reader.get_metrics_data()
        assert data is not None
        (resource,) = data.resource_metrics
        (scope,) = resource.scope_metrics
        return {metric.name: list(metric.data.data_points) for metric in scope.metrics}


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> Memory:
    for name in ("TRACEPARENT", "TRACESTATE", "BAGGAGE"):
        monkeypatch.delenv(name, raising=False)
    return Memory(monkeypatch)


def parent_of(span: ReadableSpan, memory: Memory) -> str:
    by_id = {one.context.span_id: name for name, one in memory.spans.items()}
    return "" if span.parent is None else by_id.get(span.parent.span_id, "outside")


def attributes_of(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def test_each_group_and_step_is_below_what_is_around_it(memory: Memory) -> None:
    memory.report(RUN)
    assert {name: parent_of(span, memory) for name, span in memory.spans.items()} == {
        "RUN Daily": "",
        "One": "RUN Daily",
        "Group": "RUN Daily",
        "Flaky": "Group",
        "Two": "RUN Daily",
    }
    assert len({span.context.trace_id for span in memory.spans.values()}) == 1


def test_the_items_of_a_loop_are_below_it(memory: Memory) -> None:
    memory.report(CONCURRENT)
    names = {name: parent_of(span, memory) for name, span in memory.spans.items()}
    assert names == {"RUN Nightly": "", "Import": "RUN Nightly", **{f"Import[{n}]": "Import" for n in (1, 2, 3)}}


def test_the_names_are_those_of_the_conventions(memory: Memory) -> None:
    memory.report(RUN)
    known = {value for name, value in vars(cicd_attributes).items() if name.startswith("CICD_")}
    used = {name for span in memory.spans.values() for name in attributes_of(span)}
    assert {name for name in used if name.startswith("cicd.")} <= known
    run = attributes_of(memory.spans["RUN Daily"])
    assert run["cicd.pipeline.name"] == "Daily"
    assert run["cicd.pipeline.run.id"] == "1"
    assert run["cicd.pipeline.action.name"] == cicd_attributes.CicdPipelineActionNameValues.RUN.value
    assert run["cicd.pipeline.result"] == cicd_attributes.CicdPipelineResultValues.FAILURE.value
    step = attributes_of(memory.spans["Two"])
    assert (step["cicd.pipeline.task.name"], step["cicd.pipeline.task.run.id"]) == ("Two", "two")
    assert step["process.command_args"] == ("fail", "--code=3")


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (StepStatus.SUCCEEDED, "success"),
        (StepStatus.FAILED, "failure"),
        (StepStatus.TIMED_OUT, "timeout"),
        (StepStatus.INTERRUPTED, "cancellation"),
    ],
)
def test_the_result_of_a_step_is_a_word_of_the_conventions(status: StepStatus, expected: str, memory: Memory) -> None:
    memory.report([BEGIN, started("one"), finished("one", status)])
    found = attributes_of(memory.spans["One"])["cicd.pipeline.task.run.result"]
    assert found == expected == cicd_attributes.CicdPipelineTaskRunResultValues(expected).value


@pytest.mark.parametrize(
    ("status", "exit_code", "expected"),
    [
        (RunStatus.SUCCEEDED, 0, "success"),
        (RunStatus.WARNING, 0, "success"),
        (RunStatus.FAILED, 1, "failure"),
        (RunStatus.FAILED, 124, "timeout"),
        (RunStatus.FAILED, 3, "error"),
        (RunStatus.INTERRUPTED, 143, "cancellation"),
        (RunStatus.REFUSED, 75, "skip"),
    ],
)
def test_the_result_of_a_run_is_a_word_of_the_conventions(
    status: RunStatus, exit_code: int, expected: str, memory: Memory
) -> None:
    memory.report([BEGIN, ended([], status, exit_code)])
    span = memory.spans["RUN Daily"]
    assert attributes_of(span)["cicd.pipeline.result"] == expected
    assert cicd_attributes.CicdPipelineResultValues(expected).value == expected
    assert span.status.is_ok is (exit_code == 0)


def test_a_failure_is_recorded_where_it_happened(memory: Memory) -> None:
    memory.report(RUN)
    two, flaky = memory.spans["Two"], memory.spans["Flaky"]
    assert [event.name for event in two.events] == ["exception", "exception"]
    details = dict(two.events[1].attributes or {})
    assert details["exception.type"] == "CommandError"
    assert details["exception.message"] == "it went wrong\nand more"
    assert (two.status.is_ok, two.status.description) == (False, "it went wrong\nand more")
    # Its failure is ignored.
    assert attributes_of(flaky)["error.type"] == "ValueError"
    assert flaky.status.is_ok


def test_steps_that_did_not_start_are_events_of_what_is_around_them(memory: Memory) -> None:
    memory.report(RUN)
    found = {event.name: dict(event.attributes or {}) for event in memory.spans["RUN Daily"].events}
    assert found["step not run"]["django_runbook.reason"] == '"two" failed'
    assert found["step skipped"]["cicd.pipeline.task.run.id"] == "never"


def test_what_is_unusual_is_an_event_of_its_step(memory: Memory) -> None:
    noticed = events.UnusualNoticed(at=AT, step_id="one", kind="slow", text="has run for 2h")
    memory.report([BEGIN, started("one"), noticed, finished("one")])
    (event,) = memory.spans["One"].events
    assert (event.name, dict(event.attributes or {})) == (
        "unusual",
        {"django_runbook.unusual": "slow", "django_runbook.text": "has run for 2h"},
    )


def test_spans_last_as_long_as_steps(memory: Memory) -> None:
    end = events.RunFinished(at=after(90), result=RunResult(status=RunStatus.SUCCEEDED, exit_code=0))
    step = events.StepFinished(at=after(61.5), result=result("one"))
    memory.report([BEGIN, started("one", seconds=1), step, end])
    one, run = memory.spans["One"], memory.spans["RUN Daily"]
    assert (one.start_time, one.end_time) == (_ns(1), _ns(61.5))
    assert (run.start_time, run.end_time) == (_ns(0), _ns(90))


def _ns(seconds: float) -> int:
    return int(AT.timestamp() * 1_000_000_000 + seconds * 1_000_000_000)


def test_a_worker_is_named(memory: Memory) -> None:
    memory.report([BEGIN, *QUEUED, ended(QUEUED, RunStatus.SUCCEEDED)])
    attributes = attributes_of(memory.spans["One"])
    assert attributes["django_runbook.queue"] == "heavy"
    assert (attributes["cicd.worker.name"], attributes["cicd.worker.id"]) == ("worker-1", "worker-1:4242")


def test_the_trace_of_the_environment_is_continued(memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACEPARENT", PARENT)
    memory.report(RUN)
    run = memory.spans["RUN Daily"]
    assert run.parent is not None
    assert f"00-{run.context.trace_id:032x}-{run.parent.span_id:016x}-01" == PARENT


@pytest.mark.parametrize("value", ["", "nonsense", "00-" + "0" * 32 + "-" + "0" * 16 + "-01"])
def test_an_invalid_trace_of_the_environment_is_ignored(
    value: str, memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRACEPARENT", value)
    memory.report(RUN)
    assert memory.spans["RUN Daily"].parent is None


def test_the_process_of_a_step_gets_its_context(memory: Memory) -> None:
    reporter = OpenTelemetryReporter()
    assert reporter.environ_of("one") == {}
    send(reporter, [BEGIN, started("one")])
    environ, of_run = reporter.environ_of("one"), reporter.environ_of("unknown")
    reporter(finished("one"))
    reporter.close()
    one, run = memory.spans["One"].context, memory.spans["RUN Daily"].context
    assert environ == {"TRACEPARENT": f"00-{one.trace_id:032x}-{one.span_id:016x}-{one.trace_flags:02x}"}
    assert of_run == {"TRACEPARENT": f"00-{run.trace_id:032x}-{run.span_id:016x}-{run.trace_flags:02x}"}


def test_a_run_that_was_aborted_ends_its_spans(memory: Memory) -> None:
    memory.report([BEGIN, started("one")])
    assert set(memory.spans) == {"One", "RUN Daily"}


def test_a_step_of_an_earlier_attempt_has_no_span(memory: Memory) -> None:
    past = events.StepFinished(at=AT, result=result("one", is_past=True))
    memory.report([BEGIN, past, ended([], RunStatus.SUCCEEDED)])
    assert set(memory.spans) == {"RUN Daily"}
    assert not memory.spans["RUN Daily"].events


def test_the_metrics_are_those_of_the_conventions(memory: Memory) -> None:
    memory.report(RUN)
    points = memory.points()
    assert set(points) == {
        cicd_metrics.CICD_PIPELINE_RUN_ACTIVE,
        cicd_metrics.CICD_PIPELINE_RUN_DURATION,
        cicd_metrics.CICD_PIPELINE_RUN_ERRORS,
    }
    (active,) = points["cicd.pipeline.run.active"]
    assert active.value == 0
    (duration,) = points["cicd.pipeline.run.duration"]
    assert (duration.sum, duration.count) == (83, 1)
    assert dict(duration.attributes) == {
        "cicd.pipeline.name": "Daily",
        "cicd.pipeline.run.state": "executing",
        "cicd.pipeline.result": "failure",
    }
    assert {point.attributes["error.type"]: point.value for point in points["cicd.pipeline.run.errors"]} == {
        "ValueError": 1,
        "CommandError": 1,
    }


def test_a_failed_run_is_measured_with_its_error(memory: Memory) -> None:
    failed = RunResult(status=RunStatus.FAILED, exit_code=1, failure=BUG, duration_seconds=2)
    memory.report([BEGIN, events.RunFinished(at=AT, result=failed)])
    (duration,) = memory.points()["cicd.pipeline.run.duration"]
    assert duration.attributes["error.type"] == "ValueError"


def test_the_set_up_of_the_project_is_called_at_the_start_of_a_run(memory: Memory) -> None:
    calls: list[str] = []
    reporter = OpenTelemetryReporter(setup=lambda: calls.append("set up"))
    assert calls == []
    send(reporter, [BEGIN])
    reporter.close()
    assert calls == ["set up"]


@pytest.mark.parametrize("setup", ["desk.tracing.set_up", "nonsense", "os.unknown", 5, "os.sep"])
def test_an_invalid_set_up_is_refused(setup: Any) -> None:
    with pytest.raises(InvalidUsage, match='"setup"'):
        OpenTelemetryReporter(setup=setup)


def test_a_warning_of_the_sdk_is_the_error_of_the_reporter(memory: Memory, capfd: pytest.CaptureFixture[str]) -> None:
    reporter = OpenTelemetryReporter()
    send(reporter, [BEGIN, ended([], RunStatus.SUCCEEDED)])
    log = logging.getLogger("opentelemetry.exporter.otlp")
    for code in (404, 500):
        log.error("Failed to export span batch code: %s", code)
    with pytest.raises(PostError, match=r"^Failed to export span batch code: 404$"):
        reporter.close()
    assert capfd.readouterr().err == ""
    assert not logging.getLogger("opentelemetry").handlers


def test_a_flush_that_takes_too_long_is_an_error(memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace.get_tracer_provider(), "force_flush", lambda milliseconds: False)
    reporter = OpenTelemetryReporter()
    with pytest.raises(PostError, match="were not sent in time"):
        reporter.close()


def test_without_an_sdk_nothing_is_sent() -> None:
    reporter = OpenTelemetryReporter()
    send(reporter, [event for event in RUN if not isinstance(event, reporter.ignored_events)])
    assert reporter.environ_of("one") == {}
    reporter.close()


def test_a_project_without_the_api_reads_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with pytest.raises(InvalidUsage, match=r"pip install django-runbook\[opentelemetry\]"):
        OpenTelemetryReporter()
