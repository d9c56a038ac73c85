"""Sends the traces of test runs to a collector on this machine, and reads them there."""

from __future__ import annotations

import os
from typing import Final

from opentelemetry import metrics, trace
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from tests.reporters.loopback import Service

VARIABLE: Final = "TESTS_COLLECTOR"
REPORTER: Final = {
    "BACKEND": "opentelemetry",
    "OPTIONS": {"setup": f"{__name__}.set_up"},
    "TIMEOUT": float(os.environ.get("TESTS_COLLECTOR_TIMEOUT", "60")),
}


def set_up() -> None:
    """Set up the SDK as a project does: the run flushes it at its end."""
    address = os.environ[VARIABLE]
    tracers = TracerProvider(shutdown_on_exit=False)
    tracers.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{address}/v1/traces")))
    trace.set_tracer_provider(tracers)
    reader = PeriodicExportingMetricReader(OTLPMetricExporter(f"{address}/v1/metrics"))
    metrics.set_meter_provider(MeterProvider([reader], shutdown_on_exit=False))


def spans_of(service: Service) -> dict[str, Span]:
    """Return the spans that a collector has received, by their names."""
    return {span.name: span for span in all_spans_of(service)}


def all_spans_of(service: Service) -> list[Span]:
    """Return the spans that a collector has received; several may have the same name."""
    sent = (ExportTraceServiceRequest.FromString(one.body) for one in service.requests if one.path == "/v1/traces")
    return [
        span
        for request in sent
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


def attributes_of(span: Span) -> dict[str, str | int]:
    """Return the attributes of a span that are strings or numbers."""
    return {one.key: one.value.string_value or one.value.int_value for one in span.attributes}


def metrics_of(service: Service) -> set[str]:
    """Return the names of the metrics that a collector has received."""
    sent = (ExportMetricsServiceRequest.FromString(one.body) for one in service.requests if one.path == "/v1/metrics")
    return {
        metric.name
        for request in sent
        for resource in request.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }
