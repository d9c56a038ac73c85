"""Prints what the reporters of the Flight desk send: is a monitor, a webhook, a chat, Sentry and a collector.

python example_project/receiver.py              # prints what arrives, until Ctrl-C
python example_project/receiver.py COMMAND…     # runs COMMAND with all reporters, then prints what has arrived
"""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

HOST, PORT = "127.0.0.1", 8765
# What each variable is for this receiver at an address of the form HOST:PORT.
VARIABLES: Final = {
    "FLIGHTDESK_PING": "http://{}/ping/{{slug}}",
    "FLIGHTDESK_WEBHOOK": "http://{}/webhook",
    "FLIGHTDESK_NOTIFY": "json://{}/notify",
    "FLIGHTDESK_SENTRY": "http://key@{}/1",
    "FLIGHTDESK_TRACES": "http://{}",
}
Show = Callable[[str], None]


def main(command: list[str]) -> int:
    """Serve until Ctrl-C, or until the command ends; return its exit code."""
    if not command:
        with new_server(_write, port=PORT) as server:
            for name, value in variables(f"{HOST}:{PORT}").items():
                _write(f"{name}='{value}'")
            with contextlib.suppress(KeyboardInterrupt):
                server.serve_forever()
        return 0
    arrived: list[str] = []
    with new_server(arrived.append, port=0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        own = variables(f"{HOST}:{server.server_port}")
        code = subprocess.run(command, env=os.environ | own, check=False).returncode
        server.shutdown()
    for text in arrived:
        _write(f"\n{text}")
    return code


def variables(address: str) -> dict[str, str]:
    """Return the environment variables that let the Flight desk report to this address."""
    return {name: value.format(address) for name, value in VARIABLES.items()}


def new_server(show: Show, *, port: int) -> ThreadingHTTPServer:
    """Make a server that shows each request as a text of one or several lines."""
    spans: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            # A trace arrives in parts.
            if lines := list(_readable(self.path, dict(self.headers), body, spans)):
                show("\n".join((f"POST {self.path}", *(f"  {line}".rstrip() for line in lines))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as the standard library calls it
            pass

    return ThreadingHTTPServer((HOST, port), Handler)


def _readable(path: str, headers: Mapping[str, str], body: bytes, spans: list[Any]) -> Iterator[str]:
    """Yield the lines of a message: a trace as a tree, an envelope of Sentry as its check-ins, JSON indented."""
    if path == "/v1/traces":
        yield from _trace(body, spans)
    elif path == "/v1/metrics":
        yield from _metrics(body)
    elif path.endswith("/envelope/"):
        yield from _envelope(body)
    elif headers.get("Content-Type", "").startswith("application/json"):
        yield from json.dumps(json.loads(body), indent=2, ensure_ascii=False).splitlines()
    else:
        yield from body.decode().splitlines()


def _trace(body: bytes, spans: list[Any]) -> Iterator[str]:
    """Add the spans to those that have arrived; yield those of a run once it has ended."""
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    request = ExportTraceServiceRequest.FromString(body)
    new = [span for one in request.resource_spans for scope in one.scope_spans for span in scope.spans]
    spans += new
    for span in new:
        if span.name.startswith("RUN "):
            yield from _tree([span], spans, indent="")


def _tree(level: list[Any], spans: list[Any], *, indent: str) -> Iterator[str]:
    for span in level:
        is_last, is_run = span is level[-1], span.name.startswith("RUN ") and not indent
        start, further = ("", "") if is_run else ("└─ ", "   ") if is_last else ("├─ ", "│  ")
        seconds = (span.end_time_unix_nano - span.start_time_unix_nano) / 1e9
        error = "  error" if span.status.code == span.status.STATUS_CODE_ERROR else ""
        yield f"{indent + start + span.name:<42}{seconds:.1f}s{error}"
        inner = sorted(
            (one for one in spans if one.parent_span_id == span.span_id), key=lambda one: one.start_time_unix_nano
        )
        yield from _tree(inner, spans, indent=indent + further)


def _metrics(body: bytes) -> Iterator[str]:
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

    request = ExportMetricsServiceRequest.FromString(body)
    for one in request.resource_metrics:
        for scope in one.scope_metrics:
            for metric in scope.metrics:
                yield f"{metric.name} ({metric.unit})"


def _envelope(body: bytes) -> Iterator[str]:
    lines = [json.loads(line) for line in body.splitlines() if line]
    for head, item in zip(lines[1::2], lines[2::2], strict=False):
        yield _check_in(item) if head.get("type") == "check_in" else str(head.get("type"))


def _check_in(item: dict[str, Any]) -> str:
    taken = f"{item['duration']:.1f}s" if item.get("duration") else ""
    return f"{item['monitor_slug']}  {item['status']:<11}  {taken}".rstrip()


def _write(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
