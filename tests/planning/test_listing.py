"""Tests the output of ``--plan``."""

from __future__ import annotations

import io
from pathlib import Path

from django.core.management import call_command

from tests.runner.support import run


def test_plan_hides_arguments_in_a_group_with_no_log(tmp_path: Path) -> None:
    ended = run(tmp_path, "steps: [{no_log: true, steps: [{steps: [say hidden]}]}]", plan=True)
    assert "say ***" in "\n".join(ended.shown)
    assert "hidden" not in "\n".join(ended.shown)


def test_plan_shows_arguments_and_runs_nothing(tmp_path: Path) -> None:
    text = "secrets: [TOKEN]\nsteps: [{id: one, command: say x, capture: text}, 'say ${{ steps.one.output }} ${{ secrets.TOKEN }} \"a b\"']"
    (tmp_path / "x.yml").write_text(text)
    stdout = io.StringIO()
    call_command("run_runbook", str(tmp_path / "x.yml"), plan=True, stdout=stdout)
    assert stdout.getvalue().splitlines()[1:] == ["  say x", "  say ? ? 'a b'"]
