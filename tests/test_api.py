"""Runs and checks runbooks by calls from Python."""

from __future__ import annotations

import io
import itertools
import signal
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from django_runbook import api, events
from django_runbook.api import RunRequest, RunStatus
from django_runbook.models import Run, statements
from django_runbook.signals import run_started
from tests.documentation import DOCS, blocks_of, names_in_table, write_files
from tests.testapp.management.commands import noop

PACKAGE = Path(api.__file__).parent
PAGE = DOCS / "guide" / "python.md"
pytestmark = pytest.mark.django_db


class Kept:
    def __init__(self) -> None:
        self.events: list[events.Event] = []
        self.is_closed = False

    def __call__(self, event: events.Event) -> None:
        self.events.append(event)

    def close(self) -> None:
        self.is_closed = True


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Any) -> Path:
    settings.RUNBOOK = {**settings.RUNBOOK, "JOURNAL": True}
    monkeypatch.chdir(tmp_path)
    return tmp_path


def written(text: str) -> str:
    Path("test.yml").write_text(text)
    return "test.yml"


def test_a_run_returns_its_result_and_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    kept = Kept()
    file = written("params: {name: {}}\nsteps:\n  - {id: one, command: say, args: ['${{ params.name }}']}\n")
    result = api.run(RunRequest(file=file, params={"name": "hello"}), reporters=[kept])
    assert (result.status, result.exit_code, result.steps[0].step_id) == (RunStatus.SUCCEEDED, 0, "one")
    assert [event.line for event in kept.events if isinstance(event, events.StepOutputWritten)] == ["hello"]
    assert kept.is_closed
    assert capfd.readouterr() == ("", "")
    assert Run.objects.get().pk == result.run_id


def test_a_failed_run_is_a_result_that_says_how_to_resume_it() -> None:
    file = written("steps: [{id: one, command: fail}, {id: two, command: noop}]")
    result = api.run(RunRequest(file=file))
    assert (result.status, result.exit_code) == (RunStatus.FAILED, 1)
    assert result.resume_command == f"python manage.py run_runbook test.yml --resume {result.run_id[:8]}"
    written("steps: [{id: one, command: fail}, {id: two, command: noop}]")
    again = api.run(RunRequest(file=file, resume=api.NEWEST, skip=("one",)))
    assert (again.run_id, again.status) == (result.run_id, RunStatus.SUCCEEDED)


@pytest.mark.parametrize(
    ("text", "request_", "error", "message"),
    [
        ("steps: [noop --chek]", {}, api.InvalidRunbook, r'test.yml: nothing was run\ntest.yml:1:14: error\[RB403\]'),
        ("steps: [noop", {}, api.InvalidRunbook, r"test.yml: nothing was run\ntest.yml:1:\d+: error"),
        ("steps: [noop]", {"params": {"x": "1"}}, api.InvalidUsage, 'no parameter "x"'),
        ("steps: [noop]", {"file": "other.yml"}, api.InvalidUsage, "other.yml"),
        ("steps: [noop]", {"rerun": ("a",)}, api.InvalidUsage, "--rerun belongs to --resume"),
        ("steps: [noop]", {"resume": "", "tags": ("a",)}, api.InvalidUsage, "--tags: a resumed run keeps"),
        ("steps: [noop]", {"resume": ""}, api.InvalidUsage, "no run"),
        ("steps: [noop]", {"ask_before_steps": True}, api.InvalidUsage, "--step asks before each step"),
    ],
)  # fmt: skip
def test_what_cannot_be_run_raises_and_leaves_no_run(
    text: str, request_: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        api.run(RunRequest(**{"file": written(text), **request_}))
    assert not Run.objects.exists()


def test_errors_have_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "hunter2-s3cr3t")
    file = written(
        "secrets: [TOKEN]\nsteps: [{command: noop, options: {'${{ secrets.TOKEN }}': 1, chek: hunter2-s3cr3t}}]"
    )
    with pytest.raises(api.InvalidRunbook) as raised:
        api.run(RunRequest(file=file))
    assert "hunter2" not in str(raised.value)


def test_warnings_are_on_standard_error(capfd: pytest.CaptureFixture[str]) -> None:
    api.run(RunRequest(file=written("steps: [parse_own_argv]")))
    assert "test.yml:1:9: warning[RB421]" in capfd.readouterr().err


def test_a_question_without_anybody_to_ask_fails_its_step() -> None:
    result = api.run(RunRequest(file=written("steps: [{id: one, command: noop, confirm: Sure?}]")))
    assert result.status is RunStatus.FAILED
    assert api.run(RunRequest(file="test.yml", yes=True)).status is RunStatus.SUCCEEDED


def test_the_host_gets_the_signal_after_the_run() -> None:
    received: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: received.append(number))
    try:
        file = written("steps: [noop, noop]")
        result = api.run(RunRequest(file=file), reporters=[Signalling()])
    finally:
        signal.signal(signal.SIGTERM, before)
    assert (result.status, received) == (RunStatus.INTERRUPTED, [signal.SIGTERM])


@pytest.mark.parametrize("kind", [RuntimeError, TimeoutError, KeyboardInterrupt])
def test_an_error_of_the_handler_of_the_host_reaches_the_host(kind: type[BaseException]) -> None:
    def handle(number: int, frame: object) -> None:
        raise kind("of the host")

    def send(**values: object) -> None:
        signal.raise_signal(signal.SIGTERM)

    file = written("steps: [noop]")
    before = signal.signal(signal.SIGTERM, handle)
    run_started.connect(send)
    try:
        with pytest.raises(kind, match="of the host"):
            api.run(RunRequest(file=file))
        with pytest.raises(kind, match="of the host"):
            call_command("run_runbook", file, stdout=io.StringIO())
    finally:
        run_started.disconnect(send)
        signal.signal(signal.SIGTERM, before)


def test_an_internal_error_has_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **options: object) -> None:
        raise ValueError("a bug with hunter2-s3cr3t") from KeyError("hunter2-s3cr3t")

    monkeypatch.setenv("TOKEN", "hunter2-s3cr3t")
    monkeypatch.setattr(api, "plan", fail)
    with pytest.raises(api.RunbookError, match=r"internal error .*\n(.|\n)*a bug with \*\*\*") as raised:
        api.run(RunRequest(file=written("secrets: [TOKEN]\nsteps: [noop]")))
    assert raised.value.exit_code == 3
    assert "hunter2" not in "".join(traceback.format_exception(raised.value))


@pytest.mark.parametrize("texts", [["hunter2-s3cr3t"], ["=hunter2-s3cr3t"], ["hunter2-s3cr3t=1", "hunter2-s3cr3t=1"]])
def test_a_wrong_param_is_not_quoted(monkeypatch: pytest.MonkeyPatch, texts: list[str]) -> None:
    monkeypatch.setenv("TOKEN", "hunter2-s3cr3t")
    with pytest.raises(CommandError, match=f"value number {len(texts)}") as raised:
        call_command("run_runbook", written("secrets: [TOKEN]\nsteps: [noop]"), param=texts)
    assert "hunter2" not in str(raised.value)


class Signalling(Kept):
    def __call__(self, event: events.Event) -> None:
        if isinstance(event, events.StepStarted):
            signal.raise_signal(signal.SIGTERM)


def test_neither_the_way_to_a_command_nor_that_to_a_row_returns_to_a_package(monkeypatch: pytest.MonkeyPatch) -> None:
    found: dict[str, list[str]] = {}

    def note(name: str) -> None:
        found.setdefault(name, [room for room, _ in itertools.groupby(rooms_of(traceback.extract_stack()))])

    def noted(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def call_noted(*given: Any, **more: Any) -> Any:
            note(name)
            return call(*given, **more)

        return call_noted

    monkeypatch.setattr(noop.Command, "handle", noted("command", noop.Command.handle))
    monkeypatch.setattr(statements, "insert", noted("row", statements.insert))
    call_command("run_runbook", written("steps: [noop]"), stdout=io.StringIO())
    assert found["command"] == ["management", "api.py", "stages", "runner", "executors"]
    assert found["row"][-5:] == ["runner", "forecasts", "reporters", "journal", "models"]
    assert len(set(found["row"])) == len(found["row"])


def rooms_of(stack: traceback.StackSummary) -> list[str]:
    paths = (Path(frame.filename) for frame in stack)
    return [path.relative_to(PACKAGE).parts[0] for path in paths if path.is_relative_to(PACKAGE)]


def test_a_check_of_names_and_one_of_all(settings: Any, folder: Path) -> None:
    written("steps: [noop --chek]")
    (checked,) = api.check(["test"])
    assert [one.code for one in checked.diagnostics] == ["RB403"]
    settings.RUNBOOK = {"DIRS": [str(folder)]}
    assert [Path(one.path).name for one in api.check()] == ["test.yml"]
    with pytest.raises(api.InvalidUsage):
        api.check(["missing"])


def test_plans_and_lists_need_no_secret_and_run_nothing() -> None:
    file = written("secrets: [TOKEN]\nsteps: [{id: one, command: say, args: ['${{ secrets.TOKEN }}'], tags: [a]}]")
    assert "say ?" in api.show_plan(RunRequest(file=file))
    assert "one" in api.list_steps(RunRequest(file=file))
    assert not Run.objects.exists()


def test_the_page_lists_each_keyword_and_its_examples_work(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    listed = names_in_table(PAGE.read_text().partition("\n## ")[0])
    assert sorted(listed) == sorted(RunRequest.__struct_fields__)
    write_files(PAGE, folder)
    for block in blocks_of(PAGE):
        if block.language == "python":
            exec(compile(block.text, block.id, "exec"), {})
    shown = capsys.readouterr().out
    assert shown.startswith("succeeded 0\n")
    assert "['clearsessions', 'late']" in shown
    assert "nightly.yml 0" in shown
