"""Tests requests to services that are well, slow or broken."""

from __future__ import annotations

import base64

import pytest

from django_runbook.exceptions import InvalidUsage
from django_runbook.reporters import http_post
from django_runbook.reporters.http_post import PostError, checked_url, post
from tests.reporters import loopback
from tests.reporters.loopback import BEHAVIOURS, PROBLEMS, Behaviour, gone, serve

SECRET = "/0b4a2d11-secret-path"
HEADERS = {"Content-Type": "text/plain"}


def problem_of(url: str) -> str:
    try:
        post(url, b"body", headers=HEADERS, rest=lambda seconds: None)
    except PostError as error:
        return str(error)
    return ""


@pytest.mark.slow
@BEHAVIOURS
def test_a_request_succeeds_or_says_what_the_service_did(behave: Behaviour) -> None:
    with serve(behave) as service:
        assert problem_of(service.url(SECRET)) == PROBLEMS[behave]
        assert {(request.path, request.body) for request in service.requests} == {(SECRET, b"body")}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("behave", "count"),
    [(loopback.fails, 3), (loopback.is_well_at_last, 3), (loopback.refuses, 1), (loopback.redirects, 1)],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_what_may_pass_is_tried_again(behave: Behaviour, count: int) -> None:
    with serve(behave) as service:
        problem_of(service.url())
        assert len(service.requests) == count


@pytest.mark.slow
def test_a_user_and_a_password_are_sent_as_a_header_only() -> None:
    with serve(loopback.is_well) as service:
        url = service.url(SECRET).replace("//", "//desk%40ops:se%3Acret@")
        assert problem_of(url) == ""
        [request] = service.requests
    assert base64.b64decode(request.headers["authorization"].removeprefix("Basic ")) == b"desk@ops:se:cret"
    assert (request.path, request.headers["host"]) == (SECRET, f"127.0.0.1:{service.port}")


@pytest.mark.slow
def test_a_service_that_is_gone_is_named_without_its_path() -> None:
    with gone() as service:
        assert problem_of(service.url(SECRET)) == "no connection to 127.0.0.1: Connection refused"


@pytest.mark.slow
def test_a_service_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_post, "ATTEMPT_SECONDS", 0.05)
    with serve(loopback.hangs) as service:
        assert problem_of(service.url(SECRET)) == "127.0.0.1 did not answer within 0.05s"


def test_an_unknown_host_is_named() -> None:
    assert problem_of("http://nowhere.invalid/x").startswith("no connection to nowhere.invalid: ")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "hc-ping.com/hidden",
        "file:///hidden",
        "https:///hidden",
        "https://a b/hidden",
        "https://h:x/hidden",
        5,
        "http://[::hidden",
        "http://a..b/hidden",
        f"http://{'a' * 64}.com/hidden",
    ],
)
def test_a_url_that_cannot_be_posted_to_is_refused_without_being_shown(url: object) -> None:
    with pytest.raises(InvalidUsage) as caught:
        checked_url(url)
    assert "hidden" not in str(caught.value)
