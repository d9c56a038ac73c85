"""Tests notices that Apprise sends."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest

from django_runbook.exceptions import InvalidUsage
from django_runbook.reporters.http_post import PostError
from django_runbook.reporters.notifiers.apprise_ import AppriseNotifier
from django_runbook.reporters.notifiers.notices import Notice
from tests.reporters import notice_scenes
from tests.reporters.loopback import BEHAVIOURS, PROBLEMS, Behaviour, Service, gone, serve

# Apprise imports a module that Python 3.11 has deprecated.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")]


def url_of(service: Service) -> str:
    return f"json://127.0.0.1:{service.port}/0b4a2d11-a-secret-path?cto=2&rto=2"


@pytest.mark.parametrize(
    ("notice", "kind"),
    [
        (notice_scenes.START, "info"),
        (notice_scenes.FAILURE, "failure"),
        (notice_scenes.REFUSED, "failure"),
        (notice_scenes.RECOVERY, "success"),
        (notice_scenes.UNUSUAL, "warning"),
    ],
)
def test_a_service_gets_the_title_and_the_summary(notice: Notice, kind: str) -> None:
    with serve() as service:
        AppriseNotifier(urls=[url_of(service)]).notify(notice)
        (request,) = service.requests
    message = json.loads(request.body)
    assert (message["title"].startswith("Nightly maintenance "), message["type"]) == (True, kind)
    assert "run 1f0d898b of nightly.yml on " in message["message"]


@BEHAVIOURS
def test_a_service_that_does_not_accept_a_notice_is_an_error(
    behave: Behaviour, capfd: pytest.CaptureFixture[str]
) -> None:
    with serve(behave) as service:
        notifier = AppriseNotifier(urls=[url_of(service)])
        # Apprise does not look at an answer that it cannot read twice, and does not retry.
        if PROBLEMS[behave] or behave.__name__ == "is_well_at_last":
            with pytest.raises(PostError, match="could not reach each of 1 service"):
                notifier.notify(notice_scenes.FAILURE)
        else:
            notifier.notify(notice_scenes.FAILURE)
    assert capfd.readouterr() == ("", "")


def test_a_service_that_is_gone_is_an_error_that_does_not_name_it() -> None:
    with gone() as service, pytest.raises(PostError) as caught:
        AppriseNotifier(urls=[url_of(service), "json://127.0.0.1:9/x"]).notify(notice_scenes.FAILURE)
    assert str(caught.value).startswith("Apprise could not reach each of 2 services: ")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("urls", [[], "json://127.0.0.1", [5], ["nonsense"], ["unknown://hidden"]])
def test_invalid_urls_are_refused_without_being_shown(urls: Any) -> None:
    with pytest.raises(InvalidUsage, match='"urls"') as caught:
        AppriseNotifier(urls=urls)
    assert "hidden" not in str(caught.value)


def test_a_project_without_apprise_reads_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(InvalidUsage, match=r"pip install django-runbook\[notify\]"):
        AppriseNotifier(urls=["json://127.0.0.1"])
