"""Serves HTTP on this machine, as services that are well, slow or broken do."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

import pytest

from django_runbook.reporters import http_post
from tests.patience import eventually, scaled


@dataclass
class Request:
    """One request that has arrived, with the names of its headers in lower case."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Service:
    """A service on a port of this machine, with the requests that it has received."""

    port: int
    requests: list[Request] = field(default_factory=list)
    is_released: threading.Event = field(default_factory=threading.Event)

    def url(self, path: str = "") -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    @property
    def paths(self) -> list[str]:
        return [request.path.partition("?")[0] for request in self.requests]


Behaviour = Callable[[BaseHTTPRequestHandler, Service], None]


def is_well(handler: BaseHTTPRequestHandler, service: Service) -> None:
    handler.send_response(200)
    handler.end_headers()


def is_slow(handler: BaseHTTPRequestHandler, service: Service) -> None:
    service.is_released.wait(scaled(0.1))
    is_well(handler, service)


def fails(handler: BaseHTTPRequestHandler, service: Service) -> None:
    handler.send_response(500)
    handler.end_headers()


def refuses(handler: BaseHTTPRequestHandler, service: Service) -> None:
    handler.send_response(404)
    handler.end_headers()


def redirects(handler: BaseHTTPRequestHandler, service: Service) -> None:
    handler.send_response(302)
    handler.send_header("Location", service.url("/elsewhere"))
    handler.end_headers()


def hangs(handler: BaseHTTPRequestHandler, service: Service) -> None:
    service.is_released.wait()


def is_garbage(handler: BaseHTTPRequestHandler, service: Service) -> None:
    handler.wfile.write(b"what is this?\r\n\r\n")


def closes_early(handler: BaseHTTPRequestHandler, service: Service) -> None:
    handler.connection.shutdown(socket.SHUT_RDWR)


def is_well_at_last(handler: BaseHTTPRequestHandler, service: Service) -> None:
    (fails if len(service.requests) < 3 else is_well)(handler, service)


# What each says about it, after the name of the host; an empty string where the notice has arrived.
PROBLEMS: Final[dict[Behaviour, str]] = {
    is_well: "",
    is_slow: "",
    is_well_at_last: "",
    fails: "127.0.0.1 answered with HTTP 500",
    refuses: "127.0.0.1 answered with HTTP 404",
    redirects: "127.0.0.1 answered with a redirect, which is not followed",
    is_garbage: "127.0.0.1 did not answer in HTTP (BadStatusLine)",
    closes_early: "127.0.0.1 closed the connection without an answer",
}
BEHAVIOURS: Final = pytest.mark.parametrize("behave", PROBLEMS, ids=lambda behave: behave.__name__)


@contextlib.contextmanager
def serve(behave: Behaviour = is_well) -> Iterator[Service]:
    """Serve on a free port until the end of the context."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            service.requests.append(
                Request(
                    path=self.path, headers={name.lower(): value for name, value in self.headers.items()}, body=body
                )
            )
            with contextlib.suppress(ConnectionError):
                behave(self, service)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as the standard library calls it
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    service = Service(port=server.server_port)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield service
    finally:
        service.is_released.set()
        server.shutdown()
        server.server_close()
        thread.join()


@contextlib.contextmanager
def gone() -> Iterator[Service]:
    """Reserve a port at which nothing answers."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        yield Service(port=one.getsockname()[1])


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retry requests without pauses."""
    monkeypatch.setattr(http_post, "_PAUSES", (0.0, 0.0))


def eventually_requested(service: Service) -> bool:
    """Wait until a request has arrived; return whether one has."""
    return eventually(lambda: service.requests)


@contextlib.contextmanager
def expected_outcome(behave: Behaviour) -> Iterator[None]:
    """Expect the error that a request gets from a service that behaves like this; some get none."""
    if not PROBLEMS[behave]:
        yield
        return
    with pytest.raises(http_post.PostError) as caught:
        yield
    assert str(caught.value) == PROBLEMS[behave]
