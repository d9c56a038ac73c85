"""No reporter shows a control or format character, or a secret, whatever an event holds."""

from __future__ import annotations

import io
import json
import sys
import typing
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from django_runbook import cleaning, events, reporters
from django_runbook.process.masking import masker
from django_runbook.reporters.fan_out import FanOut
from django_runbook.results import Failure, RunResult, RunStatus, StepResult, StepStatus
from django_runbook.structs import Struct
from tests.nasty import NASTY, hidden_in
from tests.reporters.scenes import AT

SECRET = "hunter2\u202e-s3cr3t"
TEXT = f"{NASTY} {SECRET} {SECRET.replace(chr(0x202E), '')}"
IDS = {"step_id", "group_ids", "status", "role"}


def filled(kind: type[Struct], **values: Any) -> Any:
    """Return an instance with the nasty text in each string field except IDs, which the runner generates."""
    hints = typing.get_type_hints(kind)
    for name in kind.__struct_fields__:
        if name in IDS or name in values:
            continue
        if hints[name] is str:
            values[name] = TEXT
        elif "tuple[str, ...]" in str(hints[name]):
            values[name] = (TEXT, TEXT)
    return kind(**values)


def scene() -> Iterator[events.Event]:
    failure = filled(Failure, exit_code=1)
    results = [
        filled(StepResult, step_id=f"s-{status}", status=status, failure=None if "skip" in status else failure, line=3)
        for status in StepStatus
    ]
    group = filled(StepResult, step_id="g", status=StepStatus.FAILED, failure=failure, is_group=True, ignored=True)
    yield filled(events.RunStarted, at=AT, step_count=2, dry_run=True)
    yield filled(events.LockAwaited, at=AT, step_id="")
    yield filled(events.StepStarted, at=AT, step_id="g", argv=None, item_count=2)
    for number, result in enumerate(results):
        step_id = result.step_id
        yield filled(events.StepStarted, at=AT, step_id=step_id, group_ids=("g",), is_concurrent=number % 2 == 1)
        yield filled(events.ConfirmationRequested, at=AT, step_id=step_id)
        yield events.ConfirmationEnded(at=AT, step_id=step_id)
        yield filled(events.StepQueued, at=AT, step_id=step_id)
        yield filled(events.StepClaimed, at=AT, step_id=step_id, pid=1)
        yield filled(events.StepOutputWritten, at=AT, step_id=step_id, stream="stdout")
        yield events.StepProgress(at=AT, step_id=step_id, done_count=1, total_count=2)
        attempt = {"attempt": 1, "attempt_count": 2, "delay_seconds": 1.0}
        yield events.AttemptFailed(at=AT, step_id=step_id, failure=failure, **attempt)  # type: ignore[arg-type]  # common fields
        yield events.AttemptStarted(at=AT, step_id=step_id, attempt=2)
        yield events.StepFinished(at=AT, result=result, group_ids=("g",))
    yield events.StepFinished(at=AT, result=group)
    yield filled(events.HistoryAwaited, at=AT)
    yield filled(events.LockRetaken, at=AT)
    yield events.ForecastMade(at=AT, usual_seconds=60.0, most_seconds=90.0, run_count=5, end_at=AT)
    yield filled(events.UnusualNoticed, at=AT, step_id="g")
    yield filled(events.StopRequested, at=AT, is_immediate=False)
    run = filled(RunResult, status=RunStatus.FAILED, exit_code=1, steps=(*results, group))
    yield events.RunFinished(at=AT, result=run)


def send(reporter: Any, *, is_file: bool = False) -> None:
    errors = io.StringIO()
    files = {"--file": reporter} if is_file else {}
    emit = FanOut([] if is_file else [reporter], files=files, errors=errors, mask=masker([SECRET]))
    for event in scene():
        if isinstance(event, events.RunFinished):
            assert emit.write_files(event) == ()
        emit(event)
    emit.close()
    assert errors.getvalue() == ""


def check(text: str) -> None:
    assert "owned" not in text
    assert "hunter2" not in text
    assert hidden_in(text) == []
    assert "abc31mdefghij" in text


def obeyed(text: str) -> Iterator[str]:
    """Yield the lines that GitHub searches for commands."""
    end = ""
    for line in text.splitlines():
        if not end:
            yield line
        if line.startswith("::stop-commands::"):
            end = f"::{line.removeprefix('::stop-commands::')}::"
        elif line == end:
            end = ""


def test_the_scene_has_each_kind_of_event() -> None:
    kinds = {kind for kind in vars(events).values() if isinstance(kind, type) and issubclass(kind, events.Event)}
    assert {type(event) for event in scene()} == kinds - {events.Event}


@pytest.mark.parametrize("verbosity", [0, 1, 2])
@pytest.mark.parametrize("name", [name for name in reporters.REPORTERS if name != "jsonl"])
def test_no_reporter_shows_hidden_characters(
    name: str, verbosity: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    stream = io.StringIO()
    send(reporters.build(name, stream=stream, verbosity=verbosity))
    check(stream.getvalue())
    if name == "github":
        check((tmp_path / "summary.md").read_text())
        assert not any(line.startswith("::error::o") for line in obeyed(stream.getvalue()))


def test_json_lines_contain_no_hidden_characters() -> None:
    stream = io.StringIO()
    send(reporters.build("jsonl", stream=stream))
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert len(lines) == len(list(scene()))
    check(json.dumps(lines, ensure_ascii=False))


@pytest.mark.parametrize("name", reporters.FILES)
def test_no_file_contains_hidden_characters(name: str, tmp_path: Path) -> None:
    path = tmp_path / "report"
    send(reporters.build_file(name, str(path)), is_file=True)
    written = [path] if path.is_file() else [one for one in path.rglob("*") if one.is_file()]
    assert written
    for one in written:
        check(one.read_text(encoding="utf-8"))
    if name == "junit":
        assert ElementTree.parse(path).getroot().tag == "testsuites"


# It reads a million characters.
@pytest.mark.slow
def test_cleaning_recognizes_each_hidden_character() -> None:
    every = [chr(number) for number in range(sys.maxunicode + 1)]
    removed = {one for one in every if not cleaning.cleaned(one)}
    hidden = {one for one in every if unicodedata.category(one) in {"Cc", "Cf", "Zl", "Zp"}} - {"\t", "\n"}
    assert hidden <= removed
    # Others are reserved for format characters, or are some in a newer Unicode.
    assert {unicodedata.category(one) for one in removed - hidden} <= {"Cn"}
    assert all(cleaning.cleaned(one).isascii() for one in every if unicodedata.category(one) == "Cs")


def test_a_text_in_one_line_keeps_its_words_apart() -> None:
    assert cleaning.cleaned_line("one\r\ntwo\u2028three\x85four\tfive") == "one two three four\tfive"


def test_a_clean_value_stays_the_same_object() -> None:
    event = next(scene())
    clean = cleaning.cleaned_values(event)
    assert clean != event
    assert cleaning.cleaned_values(clean) is clean
