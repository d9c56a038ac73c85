"""Runs commands in subprocesses: their results, output and failures."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.runner.support import FinishedRun, run
from tests.testapp.management.commands import flood

pytestmark = pytest.mark.slow

WORD = "tr0ub4dor-and-three"


def isolated(directory: Path, command: str, *, more: str = "", before: str = "") -> FinishedRun:
    return run(directory, f"{before}\nsteps:\n  - command: {command}\n    id: it\n    isolate: true\n{more}")


def failure(report: FinishedRun) -> tuple[str, int, str]:
    found = report.result("it")["failure"]
    return found["error_type"], found["exit_code"], found["message"]


@pytest.mark.parametrize(
    ("how", "exit_code", "message"),
    [
        ("segfault", 139, "its process was ended by SIGSEGV, which this run did not send"),
        ("kill", 137, "its process was ended by SIGKILL, which this run did not send"),
        ("terminate", 143, "its process was ended by SIGTERM, which this run did not send"),
        ("leave_with_0", 1, "its process ended with exit code 0 before the command did"),
        ("leave_with_7", 7, "its process ended with exit code 7 before the command did"),
    ],
)
def test_a_process_that_ends_before_its_command_is_a_failure(
    tmp_path: Path, how: str, exit_code: int, message: str
) -> None:
    report = isolated(tmp_path, f"crash {how}")
    assert report.statuses == {"it": "failed"}
    assert failure(report) == ("ChildProcessError", exit_code, message)
    assert report.output("it") == ["about to crash"]


def test_memory_that_python_cannot_get_is_a_failure_of_the_command(tmp_path: Path) -> None:
    report = isolated(tmp_path, "crash memory")
    assert failure(report)[:2] == ("MemoryError", 1)


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("fail --kind command --code 3", ("CommandError", 3, "it went wrong")),
        ("fail --kind exit --code 4", ("SystemExit", 4, "the command ended with exit code 4")),
        ("fail --kind error", ("ValueError", 1, "nobody meant this")),
        ("attack raise_unpicklable", ("LocalError", 1, None)),
        ("attack recurse", ("RecursionError", 1, None)),
        ("attack use_up_descriptors", ("OSError", 1, "[Errno 24] Too many open files: '/dev/null'")),
    ],
)
def test_a_failure_is_the_same_as_in_process(
    tmp_path: Path, command: str, expected: tuple[str, int, str | None]
) -> None:
    report = isolated(tmp_path, command)
    assert failure(report)[:2] == expected[:2]
    assert expected[2] in {None, failure(report)[2]}
    assert report.result("it")["failure"]["traceback"]


def test_output_warnings_and_captured_text_are_returned(tmp_path: Path) -> None:
    text = """
steps:
  - {command: return_five, isolate: true}
  - {command: say a word, capture: text, isolate: true}
  - command: say
    args: ["${{ steps.say.output }}"]
    id: again
"""
    report = run(tmp_path, text)
    assert "returned int" in report.result("return_five")["warnings"][0]
    assert report.output("return_five") == ["done"]
    assert report.output("again") == ["a word"]


@pytest.mark.parametrize("to", ["stdout", "stderr", "print", "log", "bytes", "return"])
@pytest.mark.usefixtures("fresh_interpreter")
def test_each_stream_is_shown(tmp_path: Path, to: str) -> None:
    assert isolated(tmp_path, f"say hello --to {to}").output("it") == ["hello"]


def test_output_that_bypasses_python_is_shown(tmp_path: Path) -> None:
    report = isolated(tmp_path, "flood descriptors")
    assert sorted(report.output("it")) == ["an error by descriptor", "by descriptor"]
    report = isolated(tmp_path, "flood programs")
    assert sorted(report.output("it")) == ["an error by a program", "by a program"]


@pytest.mark.parametrize("how", ["read_all", "read_descriptor"])
def test_standard_input_of_a_subprocess_is_empty(tmp_path: Path, how: str) -> None:
    report = isolated(tmp_path, f"misbehave {how}")
    assert report.statuses == {"it": "succeeded"}
    assert isolated(tmp_path, "attack read_input").output("it") == ["b''"]


def test_large_output_is_complete(tmp_path: Path) -> None:
    assert isolated(tmp_path, "flood lines").output("it") == [flood.line(1)] * flood.COUNT
    assert isolated(tmp_path, "flood binary").output("it")[-1] == "end"


@pytest.mark.parametrize("how", ["long_line", "long_line_of_descriptor"])
def test_no_character_of_a_very_long_line_is_lost(tmp_path: Path, how: str) -> None:
    assert "".join(isolated(tmp_path, f"flood {how}").output("it")) == "é" * 1_000_000


def test_lines_of_threads_and_forked_processes_are_not_mixed(tmp_path: Path) -> None:
    report = isolated(tmp_path, "flood threads")
    assert sorted(report.output("it")) == sorted(flood.line(number) for number in range(4) for _ in range(flood.COUNT))
    report = isolated(tmp_path, "flood forks")
    assert sorted(report.output("it")) == sorted(str(number) * 200 for number in range(3) for _ in range(20))


@pytest.mark.parametrize("how", ["secret", "long_secret", "long_secret_in_pieces", "failing_secret"])
@pytest.mark.parametrize("is_isolated", [True, False], ids=["isolated", "inline"])
def test_no_secret_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], how: str, *, is_isolated: bool
) -> None:
    monkeypatch.setenv("WORD", WORD)
    isolate = str(is_isolated).lower()
    report = run(tmp_path, f"secrets: [WORD]\nsteps: [{{command: flood {how}, isolate: {isolate}}}]")
    shown = repr(report.events)
    assert "***" in shown
    # If it were split, its parts could not be joined again either.
    assert WORD not in "".join(report.output("flood"))
    assert WORD not in shown
    assert all(part not in shown for part in ("tr0ub4dor", "and-three"))
    capfd.readouterr()


def test_a_secret_over_several_lines_is_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORD", "first-of-two\nsecond-of-two")
    report = run(tmp_path, "secrets: [WORD]\nsteps: [{command: flood secret, isolate: true}]")
    assert "of-two" not in repr(report.events)


def test_a_step_runs_in_another_process(tmp_path: Path) -> None:
    report = run(tmp_path, "steps: [{command: attack draw, for_each: [1, 2], isolate: true}]")
    seen = [event["line"].split() for event in report.events if event["event"] == "step_output_written"]
    pids, numbers = zip(*seen, strict=True)
    assert len({*pids, str(os.getpid())}) == 3
    assert len(set(numbers)) == 2
