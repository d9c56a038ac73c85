"""Stored calls in, lists, counts and JSON out."""

from __future__ import annotations

import datetime
import io
import json
import os
import re
import signal
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from django_runbook.models import Run
from tests.documentation import DOCS, section_of
from tests.management.commands.stored_runs import made
from tests.patience import wait_until
from tests.queues.calls_data import add_call, worker_lock
from tests.queues.project import new_project
from tests.services import require_postgres, require_redis

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("history")]


@pytest.fixture
def run() -> Run:
    return made("nightly.yml", days=0, status="running")


def show(*words: str) -> str:
    out = io.StringIO()
    call_command("show_calls", *words, stdout=out)
    return out.getvalue()


def shown(*words: str) -> Any:
    return json.loads(show(*words, "--format", "json"))


def test_without_calls_there_is_nothing_to_list() -> None:
    assert show() == "no calls found\n"
    assert shown() == {"total": {"queued": 0, "running": 0, "dead": 0}, "queues": {}, "calls": []}


def test_open_calls_are_listed_newest_first_with_their_counts(run: Run) -> None:
    lock = worker_lock("w")
    add_call(run, "late", age_seconds=3, queue="light")
    at = timezone.now()
    add_call(
        run,
        "backfill[1]",
        age_seconds=90,
        status="running",
        claimed_at=at - datetime.timedelta(seconds=80),
        done_count=500,
        total_count=2000,
        number=2,
    )
    add_call(run, "early", status="done")
    lock.acquire()
    try:
        text = show()
    finally:
        lock.release()
    head, queued, running, *counts = text.splitlines()
    assert head.split() == ["RUN", "STEP", "ATTEMPT", "QUEUE", "STATUS", "WORKER", "WAITED", "RAN", "PROGRESS"]
    assert queued.split()[:5] == [run.pk[:8], "late", "1", "light", "queued"]
    fields = [one for one in running.split("  ") if one]
    assert [one.strip() for one in fields[:6]] == [
        run.pk[:8],
        "backfill[1]",
        "1, call 2",
        "heavy",
        "running",
        "desk-2, process 7",
    ]
    assert re.search(r"  10\.?\d*s +1m2\d?s  ", running), running
    assert running.endswith("500 of 2,000 (25%)")
    assert counts == ["", "heavy: 0 queued, 1 running, 0 dead", "light: 1 queued, 0 running, 0 dead"]


def test_a_running_call_is_dead_once_the_lock_of_its_worker_is_free(run: Run) -> None:
    add_call(run, status="running")
    lock = worker_lock("w")
    lock.acquire()
    try:
        assert shown()["total"] == {"queued": 0, "running": 1, "dead": 0}
        assert show("--status", "dead") == "no calls found\n"
    finally:
        lock.release()
    assert shown("--queue", "heavy")["queues"]["heavy"] == {"queued": 0, "running": 0, "dead": 1}
    (call,) = shown("--status", "dead")["calls"]
    assert (call["status"], call["running_seconds"], call["host"], call["pid"]) == ("dead", None, "desk-2", 7)
    assert show("--status", "running") == "no calls found\n"


def test_a_call_is_running_if_the_lock_of_its_worker_cannot_be_seen(run: Run) -> None:
    add_call(run, status="running", worker="on-another-host")
    assert shown()["total"] == {"queued": 0, "running": 1, "dead": 0}


def test_calls_that_have_ended_are_listed_on_demand(run: Run) -> None:
    for number, status in enumerate(("queued", "done", "cancelled"), 1):
        add_call(run, status, status=status, age_seconds=number, finished_at=timezone.now())
    assert [call["step_id"] for call in shown()["calls"]] == ["queued"]
    everything = shown("--all")
    assert [call["step_id"] for call in everything["calls"]] == ["queued", "done", "cancelled"]
    assert everything["total"] == {"queued": 1, "running": 0, "dead": 0, "done": 1, "cancelled": 1}
    assert shown("--status", "done")["queues"] == {"heavy": {"done": 1}}


def test_a_dead_call_is_listed_until_its_step_has_another_call_or_its_run_is_over() -> None:
    runs = {status: made("a.yml", days=0, status=status) for status in ("running", "failed", "interrupted", "warning")}
    for status, run in runs.items():
        add_call(run, status, status="dead", finished_at=timezone.now())
    for columns in ({"number": 2}, {"attempt": 2}):
        add_call(runs["failed"], f"again {columns}", status="dead")
        add_call(runs["failed"], f"again {columns}", status="done", **columns)
    assert {call["step_id"] for call in shown()["calls"]} == {"running", "failed", "interrupted"}
    assert shown()["total"]["dead"] == 3
    assert shown("--all")["total"]["dead"] == 6


def test_autoscalers_find_each_queue_that_they_name(run: Run) -> None:
    for queue in ("heavy", "light", "light"):
        add_call(run, queue + str(timezone.now()), queue=queue)
    counts = shown("--queue", "light", "--queue", "idle", "--limit", "0")
    assert counts == {
        "total": {"queued": 2, "running": 0, "dead": 0},
        "queues": {
            "light": {"queued": 2, "running": 0, "dead": 0},
            "idle": {"queued": 0, "running": 0, "dead": 0},
        },
        "calls": [],
    }


def test_the_limit_cuts_the_list_and_not_the_counts(run: Run) -> None:
    for number in range(3):
        add_call(run, f"step-{number}", age_seconds=number)
    text = show("--limit", "1").splitlines()
    assert [line.split()[1] for line in text[1:2]] == ["step-0"]
    assert text[2:] == ["", "heavy: 3 queued, 0 running, 0 dead"]


def test_the_json_of_a_call_has_no_arguments_and_no_tokens_of_workers(run: Run) -> None:
    add_call(run, tokens=[["--password=hunter22"]], age_seconds=5)
    (call,) = shown()["calls"]
    assert "hunter22" not in json.dumps(call)
    assert {"tokens", "result", "claim", "worker"} & call.keys() == set()
    assert call["runbook"] == "nightly.yml"
    assert call["waiting_seconds"] >= 5
    assert datetime.datetime.fromisoformat(call["queued_at"]).tzinfo is not None


def test_a_call_that_returned_to_its_queue_waits_for_a_worker(run: Run) -> None:
    add_call(run, status="running", age_seconds=60)
    run.calls.update(status="queued", worker="", release_count=1)
    (call,) = shown()["calls"]
    assert call["waiting_seconds"] >= 60
    assert call["running_seconds"] is None
    assert "desk-2" not in show()


@pytest.mark.parametrize("options", [{"limit": -1}, {"limit": 10**30}])
def test_an_invalid_option_value_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(CommandError) as caught:
        call_command("show_calls", **options)
    assert caught.value.returncode == 2


def test_the_reference_page_shows_what_the_command_prints(monkeypatch: pytest.MonkeyPatch) -> None:
    run = made("nightly.yml", days=0, status="running", id="db44a7fc0d49c430d40b358c6cd86da8")
    now = timezone.now()
    monkeypatch.setattr(timezone, "now", lambda: now)
    lock = worker_lock("alive")
    worker_lock("dead")

    def ago(seconds: float) -> datetime.datetime:
        return now - datetime.timedelta(seconds=seconds)

    first: dict[str, Any] = {"worker": "alive", "pid": 42, "number": 2, "done_count": 500, "total_count": 2000}
    second: dict[str, Any] = {"worker": "dead", "pid": 77, "host": "desk-3"}
    add_call(run, "backfill_delay[1]", status="running", queued_at=ago(185.2), claimed_at=ago(185), **first)
    add_call(run, "backfill_delay[2]", status="running", queued_at=ago(185.1), claimed_at=ago(184.7), **second)
    add_call(run, "rebuild_index[2]", queue="light", queued_at=ago(12))
    lock.acquire()
    try:
        outputs = {"text": show(), "json": show("--format", "json", "--limit", "0")}
    finally:
        lock.release()
    section = section_of(DOCS / "reference" / "command-line.md", "`show_calls`")
    for language, output in outputs.items():
        assert f"```{language}\n{output}```\n" in section, output


@pytest.mark.slow
def test_a_call_is_dead_after_its_worker_and_its_run_were_killed(
    tmp_path: Path,
) -> None:
    require_redis()
    require_postgres()
    with new_project(tmp_path, "redis", template="template1") as project:
        project.migrate()
        project.write("steps: [{command: add_effect once --seconds 60, queue: QUEUE}]")

        def counts() -> Any:
            shown = project.call("show_calls", "--queue", project.queue, "--format", "json")
            return json.loads(shown)["queues"][project.queue]

        with project.runner() as runner:
            project.wait_for_status("queued")
            assert counts() == {"queued": 1, "running": 0, "dead": 0}
            with project.worker() as worker:
                project.wait_for_status("running")
                assert counts() == {"queued": 0, "running": 1, "dead": 0}
                for process in (runner, worker):
                    os.killpg(process.pid, signal.SIGKILL)
                wait_until(lambda: counts() == {"queued": 0, "running": 0, "dead": 1}, what="the call is dead")
