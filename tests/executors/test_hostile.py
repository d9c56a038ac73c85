"""Tries commands that damage their own process: the run continues, and reports the cause."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.executors.test_process import failure, isolated
from tests.patience import PATIENCE_SECONDS
from tests.runner.support import ROOT, FinishedRun, run

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("how", "lines"),
    [
        ("fork_and_return", ["the command returns", "the copy returns"]),
        ("leave_group", ["True"]),
        ("block_signals", []),
        ("leave_thread", ["a late word"]),
        ("leave_pool", ["in a pool"]),
        ("run_async", ["in a loop"]),
        ("register_exit", ["at exit"]),
    ],
)
def test_a_step_can_do_what_a_process_can_do(tmp_path: Path, how: str, lines: list[str]) -> None:
    report = isolated(tmp_path, f"attack {how}")
    assert report.statuses == {"it": "succeeded"}, report.result("it")
    assert sorted(report.output("it")) == lines


def test_a_failing_fork_of_the_command_is_not_the_command(tmp_path: Path) -> None:
    report = isolated(tmp_path, "attack fork_and_raise")
    assert report.statuses == {"it": "succeeded"}, report.result("it")
    assert "the command returns" in report.output("it")
    assert "ValueError: of the copy" in report.output("it")


@pytest.mark.parametrize("how", ["close_descriptors", "close_all_descriptors", "overwrite_descriptors"])
def test_a_command_that_closed_its_descriptors_fails_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.chdir(tmp_path)
    report = isolated(tmp_path, f"attack {how}", more="  - {command: say hello, isolate: true}\nfail_fast: false\n")
    assert report.statuses == {"it": "failed", "say": "succeeded"}
    assert "closed the connection to its run" in failure(report)[2]
    if how == "overwrite_descriptors":
        # Our output never reaches a file of the command.
        assert (tmp_path / "mine").read_bytes() == b""


@pytest.mark.parametrize(("how", "status"), [("write_garbage", "failed"), ("write_unreadable", "succeeded")])
def test_invalid_messages_end_only_the_step(tmp_path: Path, how: str, status: str) -> None:
    report = isolated(tmp_path, f"attack {how}", more="  - say hello\nfail_fast: false\n")
    assert report.statuses == {"it": status, "say": "succeeded"}


@pytest.mark.usefixtures("fresh_interpreter")
def test_a_program_inherits_no_descriptor_of_ours(tmp_path: Path) -> None:
    (line,) = isolated(tmp_path, "attack show_descriptors").output("it")
    # Listing them needs one more descriptor, for the folder.
    assert line.split() == ["0", "1", "2", "3"]


def test_huge_arguments_arrive(tmp_path: Path) -> None:
    word = "x" * 1_000_000
    text = f"vars: {{word: {word}}}\nsteps: [{{command: say, args: ['${{{{ vars.word }}}}'], isolate: true}}]"
    report = run(tmp_path, text)
    assert report.statuses == {"say": "succeeded"}
    assert "".join(report.output("say")) == word


# System checks may query the database, through a connection of the thread.
@pytest.mark.django_db(transaction=True)
def test_a_run_in_another_thread_isolates_too(tmp_path: Path) -> None:
    reports: list[FinishedRun] = []
    thread = threading.Thread(target=lambda: reports.append(isolated(tmp_path, "say hello")))
    thread.start()
    thread.join()
    assert reports[0].output("it") == ["hello"]


def manage(directory: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    """Run the command `attack show_surroundings` through manage.py, from another directory."""
    (directory / "hacks").mkdir()
    (directory / "hacks" / "own_settings.py").write_text("from tests.settings import *\n")
    (directory / "manage.py").write_text(
        f"import sys\nsys.path += [{str(ROOT)!r}, {str(ROOT / 'src')!r}, {str(ROOT / 'example_project')!r}]\n"
        f"sys.path.append({str(directory / 'hacks')!r})\n"
        "from django.core.management import execute_from_command_line\nexecute_from_command_line(sys.argv)\n"
    )
    (directory / "test.yml").write_text("steps: [{command: attack show_surroundings, isolate: true}]")
    (directory / "elsewhere").mkdir()
    environ = {key: value for key, value in os.environ.items() if key not in {"PYTHONPATH", "DJANGO_SETTINGS_MODULE"}}
    return subprocess.run(
        [
            sys.executable,
            *flags,
            "../manage.py",
            "run_runbook",
            "../test.yml",
            "--settings",
            "own_settings",
            "--format",
            "jsonl",
        ],
        cwd=directory / "elsewhere",
        env=environ,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )


def test_the_process_is_one_of_the_same_interpreter_with_the_same_modules(tmp_path: Path) -> None:
    done = manage(tmp_path, "-O", "-W", "error", "-X", "dev")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{tmp_path / 'elsewhere'} 1 " in done.stdout
    assert "'error'] attack True" in done.stdout
    assert "Warning" not in done.stderr


@pytest.mark.usefixtures("fresh_interpreter")
def test_a_project_that_cannot_be_set_up_again_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "tests.no_such_settings")
    report = isolated(tmp_path, "noop")
    assert report.statuses == {"it": "failed"}
    assert "No module named 'tests.no_such_settings'" in failure(report)[2]
