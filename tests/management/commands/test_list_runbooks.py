from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from django_runbook.models import Run


@pytest.fixture(autouse=True)
def folder(settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    settings.RUNBOOK = {"DIRS": [tmp_path], "JOURNAL": True}
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken.yml").write_text("schedule: '@daily'\nsteps: [noop]\n")
    (tmp_path / "nightly.yml").write_text(
        "name: Nightly maintenance\n"
        "description: |\n  Cleans up.\n  Every night.\n"
        "params: {day: {type: date}, mode: {choices: [full, delta], default: delta, help: How much}}\n"
        "env: [REGION]\nsecrets: [KEY]\n"
        "schedule: {cron: 15 2 * * *, timezone: UTC, jitter: 5m, catch_up: true}\n"
        "steps: [noop]\n"
    )
    (tmp_path / "weekly.yml").write_text("steps: [noop]\n")
    (tmp_path / "unreadable.yml").write_text("")
    return tmp_path


def listed(*words: str) -> tuple[str, str]:
    stdout, stderr = io.StringIO(), io.StringIO()
    call_command("list_runbooks", *words, stdout=stdout, stderr=stderr)
    return stdout.getvalue(), stderr.getvalue()


@pytest.mark.django_db
def test_each_runbook_is_listed_with_its_parameters_and_schedule() -> None:
    text, stderr = listed()
    blocks = text.removesuffix("\n").split("\n\n")
    assert stderr == ""
    assert blocks[0] == "broken.yml\n  1 error: see check_runbooks"
    *lines, schedule = blocks[1].splitlines()
    assert lines == [
        "nightly.yml: Nightly maintenance",
        "  Cleans up.",
        "  Every night.",
        "  params    day (required), mode",
    ]
    assert schedule.startswith("  schedule  15 2 * * * UTC, jitter 5m, catch_up, next due ")
    assert schedule.endswith(" 02:15 UTC")
    assert blocks[2:] == ["unreadable.yml\n  1 error: see check_runbooks", "weekly.yml"]


@pytest.mark.django_db(transaction=True)
def test_the_last_run_is_that_of_the_runbook() -> None:
    for _ in range(2):
        call_command("run_runbook", "weekly", stdout=io.StringIO())
    Run.objects.filter(pk=Run.objects.newest_first().last().pk).update(status="failed")  # type: ignore[union-attr]  # two ran
    text, _ = listed()
    assert "weekly.yml\n  last run  succeeded, " in text
    found = {one["file"]: one for one in json.loads(listed("--format", "json")[0])}
    assert found["weekly.yml"]["last_run"]["status"] == "succeeded"
    assert found["weekly.yml"]["last_run"]["exit_code"] == 0
    assert found["nightly.yml"]["last_run"] is None


@pytest.mark.django_db
def test_json_has_everything() -> None:
    found = {one["file"]: one for one in json.loads(listed("--format", "json")[0])}
    assert found["unreadable.yml"] == {"file": "unreadable.yml", "is_valid": False, "last_run": None}
    assert found["broken.yml"]["is_valid"] is False
    nightly = found["nightly.yml"]
    assert nightly["is_valid"] is True
    assert nightly["params"] == [
        {"name": "day", "type": "date", "required": True, "default": None, "choices": [], "help": ""},
        {
            "name": "mode",
            "type": "string",
            "required": False,
            "default": "delta",
            "choices": ["full", "delta"],
            "help": "How much",
        },
    ]
    assert nightly["env"] == [{"name": "REGION", "required": True, "default": None}]
    assert nightly["secrets"] == ["KEY"]
    assert nightly["schedule"].pop("next_due").endswith("T02:15:00+00:00")
    assert nightly["schedule"] == {"cron": "15 2 * * *", "timezone": "UTC", "jitter_seconds": 300, "catch_up": True}


@pytest.mark.django_db
def test_a_list_without_tables_is_complete(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Run._meta, "db_table", "away")
    text, stderr = listed()
    assert "weekly.yml" in text
    assert stderr.startswith("the journal cannot be read: ")


def test_a_project_without_runbooks_ends_with_2(settings: Any, tmp_path: Path) -> None:
    settings.RUNBOOK = {"DIRS": [tmp_path / "missing"]}
    with pytest.raises(CommandError, match="no runbook was found") as caught:
        listed()
    assert caught.value.returncode == 2
