"""Tests pings to a service like healthchecks.io."""

from __future__ import annotations

import pytest

from django_runbook.exceptions import InvalidUsage
from django_runbook.reporters.notifiers.notice_text import summary_of
from django_runbook.reporters.notifiers.notices import Notice
from django_runbook.reporters.notifiers.ping import MAX_BODY_LENGTH, PingNotifier
from django_runbook.structs import replace
from tests.reporters import notice_scenes
from tests.reporters.loopback import BEHAVIOURS, Behaviour, expected_outcome, no_pauses, serve  # noqa: F401 - a fixture

RID = "rid=1f0d898b-6c2f-4c55-a3b5-d2a1c0ffee00"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("notice", "suffix"),
    [
        (notice_scenes.START, "/start"),
        (notice_scenes.SUCCESS, ""),
        (notice_scenes.RECOVERY, ""),
        (notice_scenes.FAILURE, "/1"),
        (notice_scenes.REFUSED, "/75"),
        (notice_scenes.STOPPED, "/143"),
        (notice_scenes.UNUSUAL, "/log"),
    ],
)
def test_the_path_says_what_has_happened(notice: Notice, suffix: str) -> None:
    with serve() as service:
        PingNotifier(url=service.url("/key/{slug}")).notify(notice)
        (request,) = service.requests
    assert request.path == f"/key/nightly-maintenance{suffix}?{RID}"
    assert request.body.decode() == summary_of(notice)


@pytest.mark.slow
def test_the_query_of_the_url_is_kept() -> None:
    with serve() as service:
        PingNotifier(url=service.url("/key/?create=1")).notify(notice_scenes.FAILURE)
        assert service.requests[0].path == f"/key/1?create=1&{RID}"


@pytest.mark.slow
def test_the_body_is_as_long_as_the_service_keeps() -> None:
    long = replace(notice_scenes.UNUSUAL, text="ü" * MAX_BODY_LENGTH)
    with serve() as service:
        PingNotifier(url=service.url("/key")).notify(long)
        assert len(service.requests[0].body) == MAX_BODY_LENGTH


@pytest.mark.slow
@pytest.mark.usefixtures("no_pauses")
@BEHAVIOURS
def test_a_service_that_does_not_accept_a_ping_is_an_error(behave: Behaviour) -> None:
    with serve(behave) as service:
        ping = PingNotifier(url=service.url("/key"))
        with expected_outcome(behave):
            ping.notify(notice_scenes.FAILURE)


@pytest.mark.parametrize("url", ["", "ftp://h/x", "https://h/{name}", "https://h/{slug", 7])
def test_an_invalid_url_is_refused(url: str) -> None:
    with pytest.raises(InvalidUsage, match='"url"'):
        PingNotifier(url=url)
