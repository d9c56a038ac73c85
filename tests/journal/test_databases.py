from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pytest_django import DjangoDbBlocker

from tests.journal.databases import VENDORS, database_on, manage, started
from tests.patience import PATIENCE_SECONDS, wait_until
from tests.runner.support import wait_for

pytestmark = pytest.mark.slow

Manage = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(params=VENDORS)
def database(request: pytest.FixtureRequest, tmp_path: Path, django_db_blocker: DjangoDbBlocker) -> Iterator[Any]:
    with django_db_blocker.unblock(), database_on(request.param, tmp_path) as settings:
        yield settings


@pytest.fixture
def call(database: Any, tmp_path: Path) -> Manage:
    return lambda *words: manage(tmp_path, database, *words)


def runs(call: Manage) -> list[dict[str, Any]]:
    shown = call("show_runs", "--format", "json")
    assert shown.returncode == 0, shown.stderr
    return list(json.loads(shown.stdout))


def statuses(call: Manage, run_id: str) -> list[tuple[str, str, int]]:
    shown = json.loads(call("show_runs", "--run", run_id, "--format", "json").stdout)
    return [(step["step_id"], step["status"], step["attempt"]) for step in shown["steps"]]


def test_a_run_whose_first_step_creates_the_tables_is_recorded(call: Manage, tmp_path: Path) -> None:
    (tmp_path / "deploy.yml").write_text(
        "steps:\n  - {id: migrate, command: migrate --verbosity 0}\n  - {id: two, command: say ü}\n"
    )
    done = call("run_runbook", "deploy.yml")
    assert done.returncode == 0, done.stderr
    (row,) = runs(call)
    assert (row["status"], row["exit_code"], row["step_count"]) == ("succeeded", 0, 2)
    assert statuses(call, row["id"]) == [("migrate", "succeeded", 1), ("two", "succeeded", 1)]
    assert call("show_runs", "--run", row["id"], "--step", "two").stdout.splitlines()[-1] == "ü"


def first_of(*processes: subprocess.Popen[str]) -> None:
    """Wait until one of them has ended."""
    wait_until(lambda: any(process.poll() is not None for process in processes), what="one of them has ended")


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_run_without_tables_says_that_it_was_not_recorded(call: Manage, tmp_path: Path) -> None:
    (tmp_path / "noop.yml").write_text("steps: [noop]")
    done = call("run_runbook", "noop.yml")
    assert done.returncode == 0
    assert "was not recorded" in done.stderr


@pytest.mark.parametrize(
    "step", ["flush --no-input", "migrate django_runbook zero --verbosity 0"], ids=["flush", "zero"]
)
def test_a_step_that_wipes_the_journal_ends_the_run(call: Manage, tmp_path: Path, step: str) -> None:
    call("migrate", "--verbosity", "0")
    text = f"steps:\n  - {step}\n  - effect after --log log\nfinally: [effect clean --log log]\n"
    (tmp_path / "wipe.yml").write_text(text)
    done = call("run_runbook", "wipe.yml")
    assert done.returncode == 1
    assert "journal lost" in done.stdout + done.stderr
    assert (tmp_path / "log").read_text() == "begin clean\nend clean\n"


@pytest.mark.parametrize("options", [(), ("--no-journal",)], ids=["journal", "no-journal"])
def test_an_atomic_step_whose_transaction_is_lost_fails(
    call: Manage, database: Any, tmp_path: Path, options: tuple[str, ...]
) -> None:
    call("migrate", "--run-syncdb", "--verbosity", "0")
    ways = ["swallow_error", "set_rollback", "close_connection"]
    if database["ENGINE"].endswith("postgresql"):
        ways.append("swallow_raw_error")
    steps = [f"  - {{id: {way}, command: misbehave {way}, atomic: true}}\n" for way in ways]
    last = "finally: [effect clean --log log]\n"
    (tmp_path / "spoil.yml").write_text("".join(["steps:\n", *steps, "  - {id: last, command: noop}\n", last]))
    done = call("run_runbook", "spoil.yml", "--keep-going", "--format", "jsonl", *options)
    assert done.returncode == 1, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])["result"]
    found = {step["step_id"]: step["status"] for step in result["steps"]}
    assert found == {**dict.fromkeys(ways, "failed"), "last": "succeeded", "effect": "succeeded"}
    assert all("could not be committed" in step["failure"]["message"] for step in result["steps"] if step["failure"])
    if not options:
        (row,) = runs(call)
        assert {step_id: status for step_id, status, _ in statuses(call, row["id"])} == found


def test_a_killed_run_is_displayed_as_interrupted_and_resumed_once(call: Manage, database: Any, tmp_path: Path) -> None:
    call("migrate", "--run-syncdb", "--verbosity", "0")
    text = "steps:\n  - {id: one, command: effect one --log log}\n  - {id: two, command: effect two --log log --until go, idempotent: true}\n"
    (tmp_path / "slow.yml").write_text(text)
    command = ("run_runbook", "slow.yml")
    with started(tmp_path, database, *command) as process:
        wait_for(tmp_path / "log", "begin two")
        assert [row["status"] for row in runs(call)] == ["running"]
        process.kill()
    # A server hears a little later that its client is gone, and holds the lock of the run until then.
    wait_until(lambda: [row["status"] for row in runs(call)] == ["interrupted"], what="the end of the run is known")
    (row,) = runs(call)
    with (
        started(tmp_path, database, *command, "--resume") as one,
        started(tmp_path, database, *command, "--resume") as two,
    ):
        # One of them reports that the other is running, and the other continues.
        first_of(one, two)
        (tmp_path / "go").touch()
        said = [process.communicate(timeout=PATIENCE_SECONDS)[0] for process in (one, two)]
    assert sorted((one.returncode, two.returncode)) == [0, 75], said
    assert (tmp_path / "log").read_text().count("begin one") == 1
    assert (tmp_path / "log").read_text().count("end two") == 1
    assert statuses(call, row["id"]) == [("one", "succeeded", 1), ("two", "interrupted", 1), ("two", "succeeded", 2)]


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_signal_leaves_a_run_that_can_be_resumed(call: Manage, database: Any, tmp_path: Path) -> None:
    call("migrate", "--run-syncdb", "--verbosity", "0")
    text = "steps:\n  - {id: one, command: effect one --log log --pause 0.5}\n  - {id: two, command: effect two --log log}\nfinally: [effect clean --log log]\n"
    (tmp_path / "slow.yml").write_text(text)
    with started(tmp_path, database, "run_runbook", "slow.yml") as process:
        wait_for(tmp_path / "log", "begin one")
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=PATIENCE_SECONDS) == 143
    (row,) = runs(call)
    assert (row["status"], row["exit_code"]) == ("interrupted", 143)
    done = call("run_runbook", "slow.yml", "--resume")
    assert done.returncode == 0, done.stderr
    effects = [line for line in (tmp_path / "log").read_text().splitlines() if line.startswith("begin")]
    assert effects == ["begin one", "begin clean", "begin two", "begin clean"]


@pytest.mark.parametrize("database", ["postgresql", "mariadb"], indirect=True)
def test_a_connection_that_the_server_ended_is_opened_again(call: Manage, tmp_path: Path) -> None:
    call("migrate", "--verbosity", "0")
    (tmp_path / "cut.yml").write_text("steps:\n  - {id: cut, command: cut_connection}\n  - {id: two, command: noop}\n")
    done = call("run_runbook", "cut.yml")
    assert done.returncode == 0, done.stdout + done.stderr
    (row,) = runs(call)
    assert statuses(call, row["id"]) == [("cut", "succeeded", 1), ("two", "succeeded", 1)]


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_command_may_write_from_its_own_threads(call: Manage, tmp_path: Path) -> None:
    call("migrate", "--verbosity", "0")
    (tmp_path / "threads.yml").write_text("steps: [{id: many, command: misbehave threads}]")
    done = call("run_runbook", "threads.yml")
    assert done.returncode == 0, done.stderr
    shown = call("show_runs", "--run", runs(call)[0]["id"], "--step", "many").stdout
    assert sorted(shown.splitlines()[1:]) == [f"thread {number}" for number in range(4)]


def test_a_raw_connection_that_a_command_closes_fails_its_step_if_that_matters(call: Manage, tmp_path: Path) -> None:
    call("migrate", "--run-syncdb", "--verbosity", "0")
    ways = [(then, more) for then in ("return", "ask", "insert", "leave_open") for more in ("", ", isolate: false")]
    ways += [(then, f", atomic: true{more}") for then in ("return", "insert") for more in ("", ", isolate: false")]
    lines = [f"  - {{id: s{n}, command: close_raw --then {then}{more}}}\n" for n, (then, more) in enumerate(ways)]
    last = "  - {id: last, command: effect last --mark --log log, isolate: false}\nfinally: [effect clean --log log]\n"
    (tmp_path / "raw.yml").write_text("".join(["fail_fast: false\nsteps:\n", *lines, last]))
    done = call("run_runbook", "raw.yml", "--format", "jsonl")
    assert done.returncode == 1, done.stderr
    found = {step["step_id"]: step for step in json.loads(done.stdout.splitlines()[-1])["result"]["steps"]}
    for number, way in enumerate(ways):
        step = found[f"s{number}"]
        # Without an open transaction nothing is lost: manage.py would succeed too.
        is_harmless = way[0] == "return" and "atomic" not in way[1]
        assert step["status"] == ("succeeded" if is_harmless else "failed"), way
        messages = " ".join(((step["failure"] or {"message": ""})["message"], *step["warnings"]))
        assert 'it closed the connection to the database "default"' in messages, (way, messages)
    assert (found["last"]["status"], found["effect"]["status"]) == ("succeeded", "succeeded")
    (row,) = runs(call)
    assert row["status"] == "failed"
    recorded = {step_id: status for step_id, status, _ in statuses(call, row["id"])}
    assert recorded == {step_id: step["status"] for step_id, step in found.items()}


def test_the_output_of_a_running_step_is_recorded(call: Manage, tmp_path: Path) -> None:
    call("migrate", "--verbosity", "0")
    (tmp_path / "seen.yml").write_text("steps: [{id: it, command: see_output}]")
    done = call("run_runbook", "seen.yml")
    assert done.returncode == 0, done.stdout + done.stderr
    shown = call("show_runs", "--run", runs(call)[0]["id"], "--step", "it").stdout
    assert shown.splitlines()[-2:] == ["a first line", "a last line"]
