"""Tests which commands a dry run calls."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.runner.support import run


@pytest.mark.django_db
def test_dry_run_is_passed_on_and_commands_without_it_are_skipped(tmp_path: Path) -> None:
    ended = run(
        tmp_path,
        "steps: [makemigrations, noop]",
        dry_run=True,
    )
    started = next(event for event in ended.events if event["event"] == "step_started")
    assert started["argv"] == ["makemigrations", "--dry-run"]
    assert ended.result("noop")["reason"] == "dry run: the command has no --dry-run"
