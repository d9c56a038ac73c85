"""Notifies of runs that never begin."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from django_runbook import api
from django_runbook.api import RunRequest
from django_runbook.exceptions import RunbookError
from django_runbook.reporters.notifiers.notice_text import summary_of, title_of
from django_runbook.reporters.notifiers.notices import Notice
from tests.reporters.loopback import serve
from tests.test_configured_reporters import KEPT, RECEIVED, received, set_up  # noqa: F401 - a fixture

pytestmark = pytest.mark.django_db
SECRET = "0b4a2d11-1111-4222-9333-d2a1c0ffee00"


def notices() -> list[Notice]:
    return [one for one in RECEIVED if isinstance(one, Notice)]


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NO_SUCH_TOKEN", raising=False)
    set_up(settings, kept=KEPT)


@pytest.mark.parametrize(
    ("text", "more", "expected"),
    [
        ("steps: [nosuch]", {}, "Nightly did not start: nothing was run"),
        ("steps: [", {}, "nightly did not start: nothing was run"),
        ("secrets: [NO_SUCH_TOKEN]\nsteps: [noop]", {}, "Nightly did not start: NO_SUCH_TOKEN"),
        ("steps: [noop]", {"params": {"day": "1"}}, "Nightly did not start: "),
        ("steps: [noop]", {"resume": api.NEWEST}, "nightly did not start: "),
    ],
    ids=["invalid", "unreadable", "secret", "parameter", "resume"],
)
def test_a_run_that_cannot_begin_has_failed(text: str, more: dict[str, Any], expected: str) -> None:
    name, _, reason = expected.partition(" did not start: ")
    Path("nightly.yml").write_text(text if text.endswith("[") else f"name: {name}\n{text}")
    with pytest.raises(RunbookError) as caught:
        api.run(RunRequest(file="nightly.yml", **more))
    (notice,) = notices()
    assert title_of(notice) == f"{name} did not start"
    assert reason in summary_of(notice)
    assert sorted(notice.occasions) == ["failure"]
    assert notice.result is not None
    assert notice.result.exit_code == caught.value.exit_code == 2


def test_a_file_that_is_not_there_is_a_failure() -> None:
    with pytest.raises(RunbookError):
        api.run(RunRequest(file="nightly.yml"))
    (notice,) = notices()
    lines = summary_of(notice).splitlines()
    assert lines[:2] == ["nightly did not start", 'exit code 2: runbook "nightly.yml" was not found; searched in:']
    assert any(line.startswith("no run of nightly.yml on ") for line in lines)


@pytest.mark.parametrize("more", [{"dry_run": True}, {"file": "other.yml", "dry_run": True}])
def test_a_dry_run_that_cannot_begin_notifies_nobody(more: dict[str, Any]) -> None:
    Path("nightly.yml").write_text("steps: [nosuch]")
    with pytest.raises(RunbookError):
        api.run(RunRequest(**{"file": "nightly.yml", **more}))
    assert RECEIVED == []


def test_a_plan_notifies_nobody() -> None:
    Path("nightly.yml").write_text("steps: [nosuch]")
    with pytest.raises(RunbookError):
        api.show_plan(RunRequest(file="nightly.yml"))
    assert RECEIVED == []


def test_a_person_at_a_terminal_sees_the_error() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    for stream in (Terminal(), io.StringIO()):
        with pytest.raises(CommandError):
            call_command("run_runbook", "nightly.yml", stdout=stream, stderr=stream)
        assert len(RECEIVED) == int(not stream.isatty())


def test_the_choice_of_a_readable_file_counts() -> None:
    Path("nightly.yml").write_text("notify: []\nsteps: [nosuch]")
    with pytest.raises(RunbookError):
        api.run(RunRequest(file="nightly.yml"))
    assert RECEIVED == []


def test_invalid_settings_notify_nobody(settings: Any) -> None:
    set_up(settings, kept=KEPT, other={"BACKEND": "pong"})
    Path("nightly.yml").write_text("steps: [noop]")
    with pytest.raises(RunbookError, match="pong"):
        api.run(RunRequest(file="nightly.yml"))
    assert RECEIVED == []


@pytest.mark.slow
def test_the_ping_of_a_run_that_never_began_has_no_id(settings: Any) -> None:
    with serve() as service:
        set_up(settings, heartbeat={"BACKEND": "ping", "OPTIONS": {"url": service.url(f"/{SECRET}/{{slug}}")}})
        with pytest.raises(RunbookError):
            api.run(RunRequest(file=f"{SECRET}.yml"))
        (request,) = service.requests
    assert request.path == f"/{SECRET}/runbook/2"
    # Even if it is the name of a file, the secret of a reporter is in no message.
    assert SECRET not in request.body.decode()
