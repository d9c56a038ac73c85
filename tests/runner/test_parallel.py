"""Parallel groups and loops, timeouts and stops: how many there are at a time, and how they are ended."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from django.contrib.sites.models import Site

from tests.patience import PATIENCE_SECONDS, scaled, wait_until
from tests.runner.support import run, start, wait_for
from tests.services import require_postgres, running_statements

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _quick(settings: Any) -> None:
    settings.RUNBOOK = {**settings.RUNBOOK, "STOP_TIMEOUT": 1.5}


def test_a_hundred_branches_two_at_a_time(tmp_path: Path) -> None:
    branches = "".join(f"      - {{command: count --folder {tmp_path}, id: b{number}}}\n" for number in range(100))
    ended = run(tmp_path, f"steps:\n  - parallel:\n{branches}    max_parallel: 2\n    id: all\n")
    assert ended.status == "succeeded"
    results = {step: status for step, status in ended.statuses.items() if step != "all"}
    assert results == dict.fromkeys((f"b{number}" for number in range(100)), "succeeded")
    seen = [int(path.read_text()) for path in tmp_path.glob("seen-*")]
    assert len(seen) == 100
    assert max(seen) <= 2


def test_a_loop_holds_to_its_number_as_well(tmp_path: Path) -> None:
    ended = run(
        tmp_path,
        f"steps: [{{command: count --folder {tmp_path} --seconds 0.5, for_each: [{', '.join(map(str, range(12)))}], max_parallel: 3}}]",
    )
    assert ended.status == "succeeded"
    seen = [int(path.read_text()) for path in tmp_path.glob("seen-*")]
    assert len(seen) == 12
    assert 1 < max(seen) <= 3


@pytest.mark.parametrize("how", ["plain", "stubborn", "items"])
def test_a_failed_branch_ends_the_others(tmp_path: Path, settings: Any, how: str) -> None:
    log = tmp_path / "log"
    if how == "items":
        # It ends by itself, however long that takes.
        settings.RUNBOOK = {**settings.RUNBOOK, "STOP_TIMEOUT": PATIENCE_SECONDS}
    text = f"""
steps:
  - parallel:
      - {{command: work --how {how} --log {log}, id: other}}
      - {{command: fail --kind command --after {log}, id: fails, retry: {{attempts: 2, delay: 0.1s, jitter: false}}}}
    id: both
    finally: [{{command: say group, id: in_group}}]
  - {{command: say never, id: never}}
finally: [{{command: say file, id: in_file}}]
"""
    ended = run(tmp_path, text)
    assert ended.statuses == {
        "fails": "failed",
        "other": "interrupted",
        "both": "failed",
        "in_group": "succeeded",
        "never": "not_run",
        "in_file": "succeeded",
    }
    failure = ended.result("other")["failure"]
    assert failure is None or failure["message"].startswith('"fail" (fails) failed; SIG')
    assert ended.exit_code == 1
    if how == "items":
        assert "stopped before" in log.read_text()


def test_without_fail_fast_the_others_continue(tmp_path: Path) -> None:
    ended = run(
        tmp_path,
        f"steps:\n  - parallel: [fail, work --how short --log {tmp_path / 'log'}]\n    fail_fast: false\n    id: both\n",
    )
    assert ended.statuses == {"fail": "failed", "work": "succeeded", "both": "failed"}


def test_the_results_of_branches_are_there_for_later_steps(tmp_path: Path) -> None:
    text = """
steps:
  - parallel:
      - steps:
          - {command: say one, capture: text, id: first}
          - {command: say, args: ["${{ steps.first.output }} and more"], capture: text, id: second}
        id: group
      - {command: say three, capture: text, id: third}
  - command: say
    args: ["${{ steps.second.output }}, ${{ steps.third.output }}, ${{ steps.group.status }}"]
    id: all
"""
    ended = run(tmp_path, text)
    assert ended.output("all") == ["one and more, three, succeeded"]


def test_the_lines_of_branches_stay_whole(tmp_path: Path) -> None:
    ended = run(tmp_path, "steps: [{parallel: [flood lines, flood lines, flood descriptors]}]")
    for step in ("flood", "flood-2"):
        assert set(ended.output(step)) == {"1" * 3000}
        assert len(ended.output(step)) == 300


@pytest.mark.parametrize(
    ("text", "timed_out"),
    [
        ("steps: [{{command: noop, isolate: true}}, {{command: {work}, timeout: {limit}s, id: it}}]", {"it"}),
        (
            "steps: [{{command: noop, isolate: true}}, {{steps: [{{command: {work}, id: it}}], timeout: {limit}s, id: all}}]",
            {"it", "all"},
        ),
        ("timeout: {limit}s\nsteps: [{{command: {work}, id: it}}]", {"it"}),
    ],
    ids=["step", "group", "file"],
)
@pytest.mark.parametrize("how", ["plain", "stubborn"])
def test_a_timeout_ends_the_command(tmp_path: Path, text: str, timed_out: set[str], how: str) -> None:
    work = f"work --how {how} --log {tmp_path / 'log'}"
    # That of the file begins before there is a process that forks its step.
    limit = scaled(3 if text.startswith("timeout") else 1)
    ended = run(
        tmp_path, text.format(work=work, limit=limit) + f"\nfinally: [work --how short --log {tmp_path / 'last'}]"
    )
    assert {step for step, status in ended.statuses.items() if status == "timed_out"} == timed_out
    assert "SIGTERM" in ended.result("it")["failure"]["message"]
    assert ended.exit_code == (124 if text.startswith("timeout") else 1)
    assert "finished" in (tmp_path / "last").read_text()


def test_at_its_timeout_a_command_that_listens_finishes_its_item(tmp_path: Path, settings: Any) -> None:
    settings.RUNBOOK = {**settings.RUNBOOK, "STOP_TIMEOUT": PATIENCE_SECONDS}
    ended = run(tmp_path, f"steps: [{{command: work --how items --log {tmp_path / 'log'}, timeout: {scaled(2):g}s}}]")
    assert ended.statuses == {"work": "timed_out"}
    assert "stopped before" in (tmp_path / "log").read_text()


def test_a_timeout_that_expires_before_the_process_starts_ends_it(tmp_path: Path) -> None:
    ended = run(
        tmp_path,
        f"steps: [{{command: work --how plain --log {tmp_path / 'log'}, timeout: 1ms}}]".replace("1ms", "0.01"),
    )
    assert ended.statuses == {"work": "timed_out"}


def test_a_statement_on_postgresql_does_not_outlive_its_timeout(tmp_path: Path) -> None:
    require_postgres()
    word = f"of_{os.getpid()}_{time.monotonic_ns()}"
    text = f"steps: [{{command: work --how sql --log {tmp_path / 'log'} --word {word}, timeout: {scaled(3):g}s}}]"
    process = start(tmp_path, text, environ={"DJANGO_SETTINGS_MODULE": "tests.postgres_settings", "STOP_TIMEOUT": "3"})
    try:
        wait_until(lambda: running_statements(word) == 1, what="the statement runs")
        stdout, stderr = process.communicate(timeout=PATIENCE_SECONDS)
    finally:
        process.kill()
        process.communicate()
    assert "TIMED OUT" in stdout, stdout + stderr
    wait_until(lambda: running_statements(word) == 0, what="the statement is cancelled")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=str)
@pytest.mark.parametrize("how", ["items", "late", "plain"])
def test_a_signal_during_a_parallel_group(tmp_path: Path, number: signal.Signals, code: int, how: str) -> None:
    logs = [tmp_path / "log-1", tmp_path / "log-2"]
    branches = ", ".join(f"work --how {how} --log {log}" for log in logs)
    text = f"steps:\n  - parallel: [{branches}]\n    finally: [say group]\n  - say never\nfinally: [say file]\n"
    # The first two end by themselves, however long that takes.
    patience = 2.5 if how == "plain" else PATIENCE_SECONDS
    process = start(tmp_path, text, "--format", "plain", environ={"STOP_TIMEOUT": str(patience)})
    try:
        for log in logs:
            wait_for(log, "item" if how == "items" else "started")
        process.send_signal(number)
        stdout, stderr = process.communicate(timeout=PATIENCE_SECONDS)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == code, stdout + stderr
    expected = {"items": "stopped before", "late": "finished", "plain": "started"}[how]
    assert all(expected in log.read_text() for log in logs)
    assert "not run  say" in stdout


@pytest.mark.django_db(transaction=True)
def test_a_command_in_a_test_finds_the_database_of_the_test(tmp_path: Path) -> None:
    ended = run(tmp_path, "steps: [{command: make_site made, isolate: true}]")
    assert ended.statuses == {"make_site": "succeeded"}
    assert ended.events[0]["inline_reason"] == ""
    assert Site.objects.filter(domain="made").exists()
