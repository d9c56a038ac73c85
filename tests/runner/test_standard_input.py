"""What a command reads as its standard input, in each place where a command runs."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.runner.support import FinishedRun, run

TEXT = 'stdin: "first\\nsecond é\\n"'
PLACES = [
    pytest.param("isolate: false", id="inline"),
    pytest.param("isolate: true", id="isolated", marks=pytest.mark.slow),
]


def read(directory: Path, how: str, place: str, *, more: str = TEXT) -> FinishedRun:
    return run(directory, f"steps:\n  - command: read_input {how}\n    id: it\n    {place}\n    {more}\n")


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    ("how", "output"),
    [
        ("ask", ["first, second é"]),
        ("bytes", [repr("first\nsecond é\n".encode())]),
        ("descriptor", [repr("first\nsecond é\n".encode())]),
        ("is_regular", ["False, 0"]),
        ("lines", ["first, second é"]),
        ("nothing", ["nothing read"]),
        ("password", ["first, second é"]),
        pytest.param("program", ["first", "second é"], marks=pytest.mark.slow),
        ("read", [repr("first\nsecond é\n")]),
    ],
)
def test_a_command_reads_the_text_in_any_way(tmp_path: Path, how: str, output: list[str], place: str) -> None:
    found = read(tmp_path, how, place)
    assert (found.statuses, found.output("it")) == ({"it": "succeeded"}, output), found.errors


@pytest.mark.slow
def test_a_command_may_close_it_in_a_process_of_its_own(tmp_path: Path) -> None:
    assert read(tmp_path, "close", "isolate: true").output("it") == ["closed"]


@pytest.mark.parametrize("place", PLACES)
def test_asking_for_more_than_there_is_names_the_key(tmp_path: Path, place: str) -> None:
    failure = read(tmp_path, "ask_too_often", place).result("it")["failure"]
    assert failure["message"] == 'the command asked for more input than "stdin" gives it'
    failure = read(tmp_path, "ask", place, more="").result("it")["failure"]
    assert 'give the text under "stdin"' in failure["message"]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("how", ["nothing", "count"])
def test_a_large_text_blocks_no_run(tmp_path: Path, how: str, place: str) -> None:
    more = "stdin: \"${{ 'x' * 5000000 }}\""
    found = read(tmp_path, how, place, more=more)
    assert found.output("it") == [{"nothing": "nothing read", "count": "5000000"}[how]], found.errors


@pytest.mark.parametrize("place", PLACES)
def test_each_attempt_reads_it_from_the_beginning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    monkeypatch.chdir(tmp_path)
    found = read(tmp_path, "fail_first", f"{place}\n    retry: {{attempts: 2, delay: 0}}")
    assert (found.statuses, found.output("it")) == ({"it": "succeeded"}, ["first"])
    assert (tmp_path / "tried").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("fresh_interpreter")
def test_a_fresh_interpreter_reads_it_too(tmp_path: Path) -> None:
    assert read(tmp_path, "read", "isolate: true").output("it") == [repr("first\nsecond é\n")]


def test_the_input_of_the_process_is_restored(tmp_path: Path) -> None:
    before, status = sys.stdin, os.fstat(0)
    for how in ("nothing", "close", "ask"):
        read(tmp_path, how, "isolate: false")
        assert sys.stdin is before
        assert os.path.samestat(os.fstat(0), status)


@pytest.mark.parametrize(
    ("stdin", "problem"),
    [
        ("${{ params.words }}", "a list, which cannot be part of a string"),
        ("${{ params.none }}", "null, which cannot be part of a string"),
        ("${{ params.half }}", "half a surrogate pair"),
    ],
)
def test_a_value_that_cannot_be_text_is_found_before_anything_runs(tmp_path: Path, stdin: str, problem: str) -> None:
    text = f"""
params: {{words: [a, b], none: {{type: string, default: null}}, half: ""}}
steps: [noop, {{command: read_input read, stdin: "{stdin}"}}]
"""
    found = run(tmp_path, text, param=["half=\ud83d"])
    assert found.exit_code == 2
    assert problem in found.errors + "\n".join(found.shown)


def test_a_secret_in_it_reaches_the_command_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "hunter22")
    text = "secrets: [TOKEN]\nsteps: [{id: it, command: read_input count, stdin: 'a ${{ secrets.TOKEN }}'}]"
    found = run(tmp_path, text)
    assert found.output("it") == ["10"]
    assert "hunter22" not in str(found.events) + found.errors
    shown = run(tmp_path, text, plan=True, format="plain").shown
    assert shown[-1] == "  read_input count  # stdin a ***"
    hidden = text.replace("count,", "count, no_log: true,")
    assert run(tmp_path, hidden, plan=True, format="plain").shown[-1] == "  read_input ***  # stdin ***"
