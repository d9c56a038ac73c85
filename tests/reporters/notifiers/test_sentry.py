"""Tests check-ins with a server that behaves like Sentry."""

from __future__ import annotations

import contextlib
import gzip
import json
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import sentry_sdk

from django_runbook.exceptions import InvalidUsage
from django_runbook.reporters.http_post import PostError
from django_runbook.reporters.notifiers import sentry
from django_runbook.reporters.notifiers.notices import Notice
from django_runbook.reporters.notifiers.sentry import SentryNotifier
from django_runbook.structs import replace
from tests.patience import PATIENCE_SECONDS
from tests.reporters import loopback, notice_scenes
from tests.reporters.loopback import Behaviour, Request, Service, gone, serve

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def no_sender_left() -> Iterator[None]:
    """Wait for the thread of the SDK: it ends its retries after the client was closed, in the time of a later test."""
    yield
    for thread in threading.enumerate():
        if thread.name == "sentry-sdk.BackgroundWorker":
            thread.join(PATIENCE_SECONDS)
            assert not thread.is_alive()


@contextlib.contextmanager
def connected(service: Service) -> Iterator[None]:
    """Set up the SDK for this service, and take it down again."""
    sentry_sdk.init(
        dsn=f"http://key@127.0.0.1:{service.port}/1",
        default_integrations=False,
        shutdown_timeout=0,
        send_client_reports=False,
    )
    try:
        yield
    finally:
        sentry_sdk.get_client().close(timeout=0)
        sentry_sdk.get_global_scope().set_client(None)


def check_ins(requests: list[Request]) -> list[dict[str, Any]]:
    found = []
    for request in requests:
        body = gzip.decompress(request.body) if request.headers.get("content-encoding") == "gzip" else request.body
        lines = [json.loads(line) for line in body.splitlines() if line]
        found += [item for head, item in zip(lines[1::2], lines[2::2], strict=False) if head.get("type") == "check_in"]
    return found


def sent(*notices: Notice, **options: Any) -> list[dict[str, Any]]:
    with serve() as service, connected(service):
        notifier = SentryNotifier(**options)
        for notice in notices:
            notifier.notify(notice)
        return check_ins(service.requests)


def test_a_run_is_one_check_in_that_is_in_progress_and_then_ends() -> None:
    begin, end = sent(notice_scenes.START, notice_scenes.SUCCESS)
    assert begin["check_in_id"] == end["check_in_id"]
    assert (begin["status"], end["status"], end["duration"]) == ("in_progress", "ok", 2)
    assert begin["monitor_slug"] == end["monitor_slug"] == "nightly-maintenance"


@pytest.mark.parametrize("notice", [notice_scenes.FAILURE, notice_scenes.REFUSED, notice_scenes.STOPPED])
def test_a_failure_is_an_error_even_without_a_start(notice: Notice) -> None:
    (end,) = sent(notice)
    assert end["status"] == "error"


def test_the_monitor_is_created_from_the_schedule() -> None:
    (begin,) = sent(notice_scenes.START, config={"checkin_margin": 5})
    assert begin["monitor_config"] == {
        "schedule": {"type": "crontab", "value": "15 2 * * *"},
        "timezone": "Europe/Berlin",
        "max_runtime": 91,
        "checkin_margin": 5,
    }


def test_a_runbook_without_a_schedule_creates_no_monitor() -> None:
    without = replace(notice_scenes.START, runbook=replace(notice_scenes.NIGHTLY, cron=""))
    (begin,) = sent(without, monitor="desk-{slug}")
    assert "monitor_config" not in begin
    assert begin["monitor_slug"] == "desk-nightly-maintenance"


@pytest.mark.parametrize("behave", [*loopback.PROBLEMS, loopback.hangs], ids=lambda one: one.__name__)
def test_no_answer_of_sentry_holds_a_notifier(behave: Behaviour, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sentry, "_FLUSH_SECONDS", 0.3)
    with serve(behave) as service, connected(service):
        SentryNotifier().notify(notice_scenes.FAILURE)
        assert loopback.eventually_requested(service)


def test_a_server_that_is_gone_holds_no_notifier(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sentry, "_FLUSH_SECONDS", 0.3)
    with gone() as service, connected(service):
        SentryNotifier().notify(notice_scenes.FAILURE)


def test_an_sdk_that_is_not_set_up_is_an_error() -> None:
    with pytest.raises(PostError, match=r"sentry_sdk.init\(\) was not called"):
        SentryNotifier().notify(notice_scenes.START)


def test_a_project_without_the_sdk_reads_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sentry_sdk", None)
    with pytest.raises(InvalidUsage, match="pip install sentry-sdk"):
        SentryNotifier()
