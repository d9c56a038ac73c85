from __future__ import annotations

import datetime
import io
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from django_runbook.describing import as_lines
from django_runbook.document.syntax.source import Source
from django_runbook.document.validation.validate import load

NOW = datetime.datetime(2026, 11, 30, 12, tzinfo=datetime.UTC)


def described(text: str) -> list[str]:
    runbook, found = load(Source(path="nightly.yml", text=text))
    assert found == []
    assert runbook is not None
    return list(as_lines(runbook, now=NOW))


def test_a_runbook_is_described_whole() -> None:
    assert described(
        "name: Nightly maintenance\n"
        "description: |\n  Cleans up.\n\n  Every night.\n"
        "params:\n"
        "  day: {type: date}\n"
        '  since: {type: date, default: "${{ today - days(1) }}", help: The first day}\n'
        "  mode: {choices: [full, delta], default: delta}\n"
        "  origins: [EWR, JFK]\n"
        "  limit: {type: integer, default: null}\n"
        "env: [REGION, {name: BUCKET, default: reports}, {name: PREFIX, default: ''}]\n"
        "secrets: [KEY]\n"
        "timeout: 2h\n"
        "schedule: {cron: 15 2 * * *, timezone: Europe/Berlin, jitter: 5m, catch_up: true}\n"
        "steps: [noop]\n"
    ) == [
        "Nightly maintenance (nightly.yml)",
        "  Cleans up.",
        "",
        "  Every night.",
        "params:",
        "  day      date, required",
        "  since    date, default ${{ today - days(1) }}  The first day",
        "  mode     string, default delta: full, delta",
        "  origins  list, default [EWR, JFK]",
        "  limit    integer, optional",
        "env:",
        "  REGION  required",
        "  BUCKET  default reports",
        '  PREFIX  default ""',
        "secrets:",
        "  KEY",
        "timeout: 2h",
        "schedule: 15 2 * * * Europe/Berlin, jitter 5m, catch_up, next due 2026-12-01 02:15 CET",
    ]


def test_a_runbook_without_anything_is_its_name() -> None:
    assert described("steps: [noop]\n") == ["nightly (nightly.yml)"]


def test_the_command_describes_a_runbook_without_its_commands_and_secrets(tmp_path: Path, settings: Any) -> None:
    settings.RUNBOOK = {"DIRS": [tmp_path]}
    (tmp_path / "nightly.yml").write_text("secrets: [MISSING]\nparams: {day: {type: date}}\nsteps: [no_such_command]\n")
    stdout = io.StringIO()
    call_command("run_runbook", "nightly", "--describe", stdout=stdout)
    assert stdout.getvalue().splitlines()[1:] == ["params:", "  day  date, required", "secrets:", "  MISSING"]


def test_a_file_with_errors_ends_with_2(tmp_path: Path, settings: Any) -> None:
    settings.RUNBOOK = {"DIRS": [tmp_path]}
    (tmp_path / "nightly.yml").write_text("schedule: '@daily'\nsteps: [noop]\n")
    stderr = io.StringIO()
    with pytest.raises(CommandError, match="nothing was run") as caught:
        call_command("run_runbook", "nightly", "--describe", stderr=stderr)
    assert caught.value.returncode == 2
    assert "RB220" in stderr.getvalue()


@pytest.mark.parametrize("other", ["--plan", "--list", "--resume"])
def test_it_is_not_combined(other: str) -> None:
    with pytest.raises(CommandError):
        call_command("run_runbook", "nightly", "--describe", other)
