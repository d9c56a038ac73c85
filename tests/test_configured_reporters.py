"""Runs runbooks with the reporters that the settings of the project define."""

from __future__ import annotations

import signal
import socket
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core import management
from django.test.utils import override_settings

from django_runbook import api, checking, testing
from django_runbook import system_checks as checks
from django_runbook.api import RunRequest, RunStatus
from django_runbook.cleaning import MASK
from django_runbook.events import Event
from django_runbook.exceptions import InvalidRunbook, InvalidUsage
from django_runbook.models import Run
from django_runbook.reporters.notifiers import sentry
from django_runbook.reporters.notifiers.notices import Notice
from django_runbook.results import Occasion
from tests.patience import PATIENCE_SECONDS
from tests.reporters import loopback
from tests.reporters.loopback import gone, no_pauses, serve  # noqa: F401 - a fixture
from tests.reporters.notifiers.test_sentry import connected
from tests.runner.support import start, wait_for
from tests.runner.test_locking import held

pytestmark = pytest.mark.django_db
RECEIVED: list[Notice | Event] = []
RELEASED = threading.Event()


class Kept:
    """Keeps notices."""

    def __init__(self, *, url: str = "") -> None:
        self.url = url

    def notify(self, notice: Notice) -> None:
        RECEIVED.append(notice)


class Picky(Kept):
    """Refuses its options, and repeats them."""

    def __init__(self, *, url: str) -> None:
        raise ValueError(f"cannot use {url}")


class Hanging(Kept):
    """Hangs at each notice."""

    def notify(self, notice: Notice) -> None:
        RELEASED.wait(PATIENCE_SECONDS)


class Failing(Kept):
    """Fails at each notice, and repeats what it should keep to itself."""

    def notify(self, notice: Notice) -> None:
        raise OSError(f"cannot reach {self.url}")


class KeptEvents:
    """Keeps events."""

    def __call__(self, event: Event) -> None:
        RECEIVED.append(event)

    def close(self) -> None:
        pass


def broken() -> object:
    raise KeyError("no such variable")


HERE = __name__
URL = "https://desk:hidden@example.com/hidden"


@pytest.fixture(autouse=True)
def received() -> Iterator[list[Any]]:
    RECEIVED.clear()
    RELEASED.clear()
    yield RECEIVED
    RELEASED.set()


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    settings.RUNBOOK = {**settings.RUNBOOK, "JOURNAL": True}
    monkeypatch.chdir(tmp_path)


def set_up(settings: Any, **reporters: Any) -> None:
    """Define reporters that are used in this test."""
    defined = {name: {"IN_TESTS": True, **value} for name, value in reporters.items()}
    settings.RUNBOOK = {**settings.RUNBOOK, "REPORTERS": defined}


def run(text: str = "name: Nightly\nsteps: [noop]\n", **more: Any) -> api.RunResult:
    Path("nightly.yml").write_text(text)
    return api.run(RunRequest(file="nightly.yml", **more))


def words() -> list[str]:
    return [" ".join(sorted(notice.occasions)) for notice in RECEIVED if isinstance(notice, Notice)]


KEPT = {"BACKEND": f"{HERE}.Kept"}
ALL = {**KEPT, "ON": [occasion.value for occasion in Occasion]}
FAILS = "name: Nightly\nsteps: [fail]\n"


def test_a_notifier_of_the_project_is_notified_of_the_occasions_in_the_settings(settings: Any) -> None:
    set_up(settings, all=ALL)
    run()
    assert words() == ["start", "success"]


def test_the_default_is_what_somebody_should_look_at(settings: Any) -> None:
    set_up(settings, kept=KEPT)
    for text in (FAILS, "steps: [{command: fail, continue_on_error: true}]", "steps: [noop]"):
        run(text)
    assert words() == ["failure", "recovery warning"]


def test_the_first_run_that_does_not_fail_after_one_that_did_is_a_recovery(settings: Any) -> None:
    set_up(settings, kept={**KEPT, "ON": ["failure", "recovery"]})
    for text in ("name: N\nsteps: [noop]", FAILS, FAILS, "steps: [noop]", "steps: [noop]"):
        run(text)
    assert words() == ["failure", "failure", "recovery success"]


def test_a_resumed_run_that_succeeds_is_a_recovery(settings: Any) -> None:
    set_up(settings, kept={**KEPT, "ON": ["recovery"]})
    run(FAILS.replace("fail", "{id: one, command: fail}"))
    run("name: Nightly\nsteps: [{id: one, command: noop}]", resume=api.NEWEST)
    assert words() == ["recovery success"]


@pytest.mark.parametrize(
    ("lock", "exit_code", "expected"), [("busy", 75, ["failure"]), ("{name: busy, on_conflict: skip}", 0, [])]
)
def test_a_refused_run_has_failed_unless_its_file_allows_it(
    lock: str, exit_code: int, expected: list[str], settings: Any
) -> None:
    set_up(settings, all=ALL)
    with held("busy"):
        result = run(f"lock: {lock}\nsteps: [noop]\nfinally: [noop]")
    assert (result.status, result.exit_code) == (RunStatus.REFUSED, exit_code)
    assert words() == expected


def test_a_run_that_is_not_recorded_has_no_recovery(settings: Any) -> None:
    set_up(settings, kept={**KEPT, "ON": ["recovery"]})
    run(FAILS)
    run(journal=False)
    assert words() == []


def test_a_reporter_of_the_project_receives_all_events(settings: Any) -> None:
    set_up(settings, kept={"BACKEND": f"{HERE}.KeptEvents"})
    run("steps: [say hello]")
    assert [type(event).__name__ for event in RECEIVED] == [
        "RunStarted",
        "StepStarted",
        "StepOutputWritten",
        "StepFinished",
        "RunFinished",
    ]


def test_a_dry_run_notifies_nobody(settings: Any) -> None:
    set_up(settings, all=ALL)
    run(dry_run=True)
    assert words() == []


def test_a_test_of_a_project_notifies_nobody_unless_the_settings_ask_for_it(settings: Any) -> None:
    settings.RUNBOOK = {**settings.RUNBOOK, "REPORTERS": {"all": ALL}}
    run()
    assert words() == []


def test_a_faked_run_notifies_nobody(settings: Any) -> None:
    set_up(settings, all=ALL)
    Path("nightly.yml").write_text("steps: [noop]")
    assert testing.run("nightly.yml", fake={"noop": ""}).status == "succeeded"
    assert words() == []


@pytest.mark.parametrize(
    ("notify", "expected"), [("", ["one", "two"]), ("notify: [two]\n", ["two"]), ("notify: []\n", [])]
)
def test_a_runbook_chooses_among_the_reporters(notify: str, expected: list[str], settings: Any) -> None:
    names: list[str] = []

    class Named(Kept):
        def __init__(self, *, name: str) -> None:
            self.name = name

        def notify(self, notice: Notice) -> None:
            names.append(self.name)

    globals()["Named"] = Named
    backend = {"BACKEND": f"{HERE}.Named", "ON": ["success"]}
    set_up(settings, one={**backend, "OPTIONS": {"name": "one"}}, two={**backend, "OPTIONS": {"name": "two"}})
    run(f"{notify}steps: [noop]")
    assert sorted(names) == expected


def test_the_choice_of_a_called_runbook_does_not_count(settings: Any) -> None:
    set_up(settings, all={**ALL, "ON": ["success"]})
    Path("inner.yml").write_text("notify: []\nsteps: [noop]")
    run("steps: [{runbook: inner.yml}]")
    assert words() == ["success"]


def test_an_unknown_reporter_is_an_error_before_anything_runs(settings: Any) -> None:
    set_up(settings, oncall=ALL)
    with pytest.raises(InvalidRunbook) as caught:
        run("notify:\n  - oncal\nsteps: [noop]")
    assert 'RB440: unknown reporter "oncal"' in str(caught.value).replace("error[RB440]", "RB440")
    assert 'did you mean "oncall"?' in str(caught.value)
    assert not Run.objects.exists()


UNUSABLE: dict[str, tuple[Any, str]] = {
    "not a dictionary": ([], "must be a dictionary from names to reporters"),
    "not a backend": ({"a": 5}, "must be the name of a backend, or a dictionary"),
    "unknown key": ({"a": {"BACKEND": "ping", "WHEN": []}}, 'has no key "WHEN"'),
    "unknown word": (
        {"a": {"BACKEND": "ping", "ON": ["failures"]}},
        'has no occasion "failures"; did you mean "failure"?',
    ),
    "one word": ({"a": {"BACKEND": "ping", "ON": "failure"}}, "must be a list of occasions: start, "),
    "unknown backend": ({"a": "pong"}, 'unknown backend "pong"; did you mean "ping"?'),
    # Newer releases of Python say which kind of argument it is.
    "missing option": ({"a": "ping"}, 'the OPTIONS do not fit "ping": missing a required '),
    "invalid option": (
        {"a": {"BACKEND": "ping", "OPTIONS": {"url": "x"}}},
        '"url" must be a URL that begins with https',
    ),
    "unknown module": ({"a": "desk.reports.Pager"}, "cannot be imported: No module named 'desk'"),
    "raises": ({"a": f"{HERE}.broken"}, "failed: KeyError: 'no such variable'"),
    "neither": ({"a": "builtins.object"}, 'has no method "notify", and is not a reporter with "close"'),
    "events": ({"a": {"BACKEND": "logging", "ON": ["failure"]}}, '"logging" receives every event, and has no ON'),
    "time": ({"a": {"BACKEND": "logging", "TIMEOUT": "5s"}}, '["TIMEOUT"] must be a number of seconds'),
    "NaN": ({"a": {"BACKEND": "logging", "TIMEOUT": float("nan")}}, '["TIMEOUT"] must be a number of seconds'),
    "endless": ({"a": {"BACKEND": "logging", "TIMEOUT": float("inf")}}, '["TIMEOUT"] must be a number of seconds'),
    "ages": ({"a": {"BACKEND": "logging", "TIMEOUT": 10**400}}, '["TIMEOUT"] must be a number of seconds'),
    "secret": ({"a": {"BACKEND": f"{HERE}.Picky", "OPTIONS": {"url": URL}}}, "ValueError: cannot use ***"),
    "urls": ({"a": {"BACKEND": "notify", "OPTIONS": {"urls": 5}}}, '"urls" must be a list of URLs of Apprise'),
    "monitor": ({"a": {"BACKEND": "sentry", "OPTIONS": {"monitor": None}}}, '"monitor" must be the slug of a monitor'),
    "config": ({"a": {"BACKEND": "sentry", "OPTIONS": {"config": 5}}}, '"config" must be a dictionary'),
    "directory": (
        {"a": {"BACKEND": "prometheus", "OPTIONS": {"directory": "/a\0b"}}},
        '"directory" must be an absolute path',
    ),
    "in tests": ({"a": {"BACKEND": "logging", "IN_TESTS": 1}}, '["IN_TESTS"] must be True or False'),
    "options": ({"a": {"BACKEND": "logging", "OPTIONS": []}}, '["OPTIONS"] must be a dictionary'),
}


@pytest.mark.parametrize(("reporters", "expected"), UNUSABLE.values(), ids=UNUSABLE)
def test_unusable_settings_are_reported_before_anything_runs(
    reporters: Any, expected: str, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.RUNBOOK = {**settings.RUNBOOK, "REPORTERS": reporters}
    Path("nightly.yml").write_text("steps: [noop]")
    with pytest.raises(InvalidUsage) as caught:
        api.check(["nightly.yml"])
    assert expected in str(caught.value)
    assert str(caught.value).startswith('RUNBOOK["REPORTERS"]')
    monkeypatch.setattr(checks, "_is_run_by_check", lambda: True)
    (message,) = [*checking.messages(), *checks.check_reporters(None)]
    assert expected in message.msg


@pytest.mark.parametrize("text", ["steps: [noop]", FAILS])
def test_a_reporter_that_hangs_or_fails_changes_a_line_and_nothing_else(
    text: str, settings: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    expected = run(text)
    on = [occasion.value for occasion in Occasion]
    set_up(
        settings,
        hanging={"BACKEND": f"{HERE}.Hanging", "TIMEOUT": 0.02, "ON": on},
        failing={"BACKEND": f"{HERE}.Failing", "ON": on},
        good=ALL,
    )
    result = run(text)
    assert (result.status, result.exit_code, result.warnings) == (expected.status, expected.exit_code, ())
    assert words()[0] == "start"
    assert len(words()) == 2
    assert sorted(capfd.readouterr().err.splitlines()) == [
        'reporter "failing" failed: OSError: cannot reach',
        'reporter "hanging" did not finish within 0.02s, and was abandoned',
    ]


def test_the_url_of_a_reporter_is_in_no_output_and_no_history(settings: Any, capfd: pytest.CaptureFixture[str]) -> None:
    secret = str(uuid.uuid4())
    url = f"https://ping.example/{secret}"
    set_up(settings, failing={"BACKEND": f"{HERE}.Failing", "OPTIONS": {"url": url}})
    result = run(f"steps: [say {url}, 'say {secret}']")
    assert secret not in f"{result}{capfd.readouterr()}"
    row = Run.objects.get(pk=result.run_id)
    assert secret not in f"{[*row.steps.values()]}"
    assert MASK in f"{[*row.steps.values()]}"


BEHAVIOURS = [*loopback.PROBLEMS, loopback.hangs]


@pytest.mark.slow
@pytest.mark.usefixtures("no_pauses")
@pytest.mark.parametrize("backend", ["ping", "webhook"])
@pytest.mark.parametrize("behave", BEHAVIOURS, ids=lambda one: one.__name__)
def test_no_service_changes_a_run(
    behave: loopback.Behaviour, backend: str, settings: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    with serve(behave) as service:
        options = {"url": service.url("/0b4a2d11-a-secret-path")}
        timeout = 0.3 if behave is loopback.hangs else PATIENCE_SECONDS
        set_up(settings, oncall={"BACKEND": backend, "OPTIONS": options, "ON": ["failure"], "TIMEOUT": timeout})
        result = run(FAILS)
        assert service.requests
    assert (result.status, result.exit_code) == (RunStatus.FAILED, 1)
    problem = loopback.PROBLEMS.get(behave, "")
    line = f'reporter "oncall" failed: PostError: {problem}\n' if problem else ""
    if behave is loopback.hangs:
        line = 'reporter "oncall" did not finish within 0.3s, and was abandoned\n'
    assert capfd.readouterr().err == line


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")
@pytest.mark.parametrize("behave", BEHAVIOURS, ids=lambda one: one.__name__)
def test_no_service_of_apprise_changes_a_run(
    behave: loopback.Behaviour, settings: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    with serve(behave) as service:
        options = {"urls": [f"json://127.0.0.1:{service.port}/0b4a2d11-a-secret-path"]}
        timeout = 0.3 if behave is loopback.hangs else PATIENCE_SECONDS
        set_up(settings, team={"BACKEND": "notify", "OPTIONS": options, "ON": ["failure"], "TIMEOUT": timeout})
        result = run(FAILS)
        assert service.requests
    assert (result.status, result.exit_code) == (RunStatus.FAILED, 1)
    lines = capfd.readouterr().err.splitlines()
    is_well = not loopback.PROBLEMS.get(behave, "hangs") and behave is not loopback.is_well_at_last
    assert len(lines) == int(not is_well)
    assert all(line.startswith('reporter "team" ') and "secret" not in line for line in lines)


@pytest.mark.slow
@pytest.mark.parametrize("behave", BEHAVIOURS, ids=lambda one: one.__name__)
def test_no_answer_of_sentry_changes_a_run(
    behave: loopback.Behaviour, settings: Any, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sentry, "_FLUSH_SECONDS", 0.6)
    timeout = 0.3 if behave is loopback.hangs else PATIENCE_SECONDS
    set_up(settings, crons={"BACKEND": "sentry", "TIMEOUT": timeout})
    with serve(behave) as service, connected(service):
        result = run(FAILS)
        assert service.requests
    assert (result.status, result.exit_code) == (RunStatus.FAILED, 1)
    # The SDK reports no error of its server.
    line = 'reporter "crons" did not finish within 0.3s, and was abandoned\n' if behave is loopback.hangs else ""
    assert capfd.readouterr().err == line


@pytest.mark.slow
@pytest.mark.usefixtures("no_pauses")
@pytest.mark.parametrize("backend", ["ping", "webhook"])
def test_a_service_that_is_gone_changes_no_run(backend: str, settings: Any, capfd: pytest.CaptureFixture[str]) -> None:
    with gone() as service:
        set_up(settings, oncall={"BACKEND": backend, "OPTIONS": {"url": service.url("/x")}, "ON": ["success"]})
        assert run().status is RunStatus.SUCCEEDED
    line = 'reporter "oncall" failed: PostError: no connection to 127.0.0.1: Connection refused\n'
    assert capfd.readouterr().err == line


def test_the_command_uses_the_reporters_too(settings: Any) -> None:
    set_up(settings, all=ALL)
    Path("nightly.yml").write_text("steps: [noop]")
    management.call_command("run_runbook", "nightly.yml", "--format", "plain")
    assert words() == ["start", "success"]


@override_settings(RUNBOOK={"REPORTERS": {"a": {"BACKEND": "pong", "IN_TESTS": True}}})
def test_a_wrong_setting_ends_the_command_with_2() -> None:
    Path("nightly.yml").write_text("steps: [noop]")
    with pytest.raises(management.CommandError) as caught:
        management.call_command("run_runbook", "nightly.yml")
    assert caught.value.returncode == 2


def test_a_name_server_that_hangs_changes_no_run(
    settings: Any, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **more: RELEASED.wait(PATIENCE_SECONDS))
    options = {"url": "https://ping.invalid/key"}
    set_up(settings, oncall={"BACKEND": "ping", "OPTIONS": options, "TIMEOUT": 0.02})
    assert run().status is RunStatus.SUCCEEDED
    assert capfd.readouterr().err == 'reporter "oncall" did not finish within 0.02s, and was abandoned\n'


@pytest.mark.slow
@pytest.mark.parametrize("way", ["inline", "isolated"], indirect=True)
def test_a_run_is_stopped_while_its_reporter_hangs(way: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    text = f"steps: [work --how items --log {log}, noop]"
    process = start(tmp_path, text, "--format", "plain", environ={"DJANGO_SETTINGS_MODULE": "tests.hanging_settings"})
    wait_for(log, "item")
    process.send_signal(signal.SIGTERM)
    output, errors = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 143, output + errors
    assert "stopped before" in log.read_text()
    assert errors.splitlines() == ['reporter "oncall" did not finish within 0.5s, and was abandoned']
