"""Tests `check_runs` with files, stored runs and real locks."""

from __future__ import annotations

import datetime
import io
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import Settings

from django_runbook import conf
from django_runbook.locks.factory import new_factory
from django_runbook.models import RUNNING, Run, StepRun
from django_runbook.models.fields import to_db_text
from tests.management.commands.stored_runs import made

pytestmark = pytest.mark.django_db
NIGHTLY = 'schedule: {cron: "15 2 * * *"}\nsteps: [noop]\n'


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "runbooks"
    folder.mkdir()
    settings.RUNBOOK = {**settings.RUNBOOK, "DIRS": [folder]}
    return folder


def write(folder: Path, name: str, text: str = NIGHTLY, *, days_ago: float = 30) -> None:
    path = folder / name
    path.write_text(text)
    at = (timezone.now() - datetime.timedelta(days=days_ago)).timestamp()
    os.utime(path, (at, at))


def check(*words: str) -> tuple[int, str]:
    out = io.StringIO()
    try:
        call_command("check_runs", *words, stdout=out)
    except CommandError as error:
        return error.returncode, out.getvalue() or str(error)
    return 0, out.getvalue()


def states(*words: str) -> dict[str, str]:
    _, text = check("--format", "json", *words)
    return {one["runbook"]: one["state"] for one in json.loads(text)}


def test_runbooks_with_a_schedule_are_checked(folder: Path) -> None:
    write(folder, "fine.yml")
    write(folder, "late.yml")
    write(folder, "never.yml")
    write(folder, "new.yml", days_ago=0)
    write(folder, "by_hand.yml", "steps: [noop]\n")
    write(folder, "broken.yml", NIGHTLY + "nonsense: 1\n")
    made("fine.yml", days=0)
    made("late.yml", days=5)
    assert states() == {
        "broken.yml": "invalid",
        "fine.yml": "ok",
        "late.yml": "missing",
        "never.yml": "missing",
        "new.yml": "ok",
    }
    assert states("fine", "by_hand") == {"fine.yml": "ok", "by_hand.yml": "ok"}
    assert check()[0] == 1
    assert check("fine")[0] == 0
    assert check("--format", "nagios")[0] == 2
    assert check("--format", "prometheus")[0] == 0


def test_a_running_run_is_stuck_without_steps_or_without_a_process(folder: Path) -> None:
    write(folder, "quiet.yml")
    write(folder, "dead.yml")
    quiet = made("quiet.yml", days=0, status=RUNNING, lock_backend="elsewhere")
    dead = made("dead.yml", days=0, status=RUNNING)
    lock = new_factory(conf.read(), what="the run that dies")(dead.lock_name)
    assert lock.acquire() is None
    lock.release()
    assert states() == {"quiet.yml": "ok", "dead.yml": "stuck"}
    Run.objects.filter(pk=quiet.pk).update(started_at=timezone.now() - datetime.timedelta(hours=9))
    assert states("quiet") == {"quiet.yml": "stuck"}
    StepRun.objects.filter(run=quiet).update(started_at=timezone.now() - datetime.timedelta(minutes=50))
    assert states("quiet") == {"quiet.yml": "ok"}
    assert states("quiet", "--stuck-after", "45m") == {"quiet.yml": "stuck"}


def test_the_grace_is_an_option(folder: Path) -> None:
    write(folder, "hourly.yml", 'schedule: {cron: "0 * * * *"}\nsteps: [noop]\n')
    Run.objects.filter(pk=made("hourly.yml", days=0).pk).update(started_at=timezone.now() - datetime.timedelta(hours=4))
    assert states() == {"hourly.yml": "missing"}
    assert states("--grace", "5h") == {"hourly.yml": "ok"}


def test_wrong_options_and_a_lost_history_are_reported_as_each_format_expects(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert check("--grace", "soon") == (2, '--grace must be a time such as 90s, 10m or 1h30m, not "soon"')
    assert check("absent")[0] == 2
    assert check("absent", "--format", "nagios")[0] == 3
    assert check("absent", "--format", "nagios")[1].startswith('RUNBOOKS UNKNOWN - runbook "absent" was not found')


def test_the_queries_do_not_grow_with_the_history(folder: Path) -> None:
    write(folder, "fine.yml")
    made("fine.yml", days=0)
    for number in range(80):
        made("fine.yml", days=number + 1, status="failed")
    with CaptureQueriesContext(
        connection,
    ) as found:
        assert states() == {"fine.yml": "ok"}
    assert len(found) == 2
    assert "LIMIT 50" in found[0]["sql"]


@pytest.mark.parametrize(
    ("status", "expected"),
    [("refused", {"state": "stuck", "texts": 1}), ("failed", {"state": "stuck", "texts": 2})],
)
def test_a_run_that_hangs_is_found_among_many_newer_ones(folder: Path, status: str, expected: dict[str, Any]) -> None:
    write(folder, "jammed.yml")
    made("jammed.yml", days=70)
    made("jammed.yml", days=60, status=RUNNING, lock_backend="elsewhere")
    for number in range(55):
        made("jammed.yml", days=number, status=status, exit_code=0 if status == "refused" else 1)
    with CaptureQueriesContext(connection) as found:
        _, text = check("--format", "json")
    (state,) = json.loads(text)
    assert {"state": state["state"], "texts": len(state["problems"])} == expected
    # The last success is known, although it is older than the newest 50 runs.
    assert state["last_success_at"] is not None
    assert len(found) == 6


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are bytes on Linux only")
def test_names_of_files_that_are_no_text_are_found_and_fill_one_line(folder: Path) -> None:
    name = os.fsdecode(b"odd\n|\xff.yml")
    write(folder, name)
    made(to_db_text(name), days=0)
    assert states() == {name: "ok"}
    assert len(check()[1].splitlines()) == 1
    os.utime(folder / name, (0, 0))
    Run.objects.all().delete()
    code, text = check("--format", "nagios")
    assert code == 2
    assert len(text.splitlines()) == 2
    assert text.count("|") == 1
