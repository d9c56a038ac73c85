"""Commands with variables of their own where no process of their own can be."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from django_runbook.process import isolation, manage_script
from tests.runner.support import run

TEXT = "steps:\n  - noop\n  - command: noop\n    env: {REGION: eu}\n"


@pytest.mark.parametrize(
    ("options", "reason"), [({"inline": True}, "--inline"), ({"inline": True, "dry_run": True}, "--inline")]
)
def test_a_run_in_one_process_is_refused(tmp_path: Path, options: dict[str, bool], reason: str) -> None:
    found = run(tmp_path, TEXT, **options)
    assert found.exit_code == 2
    assert 'test.yml:4:11: error[RB424]: a command with "env" needs a process of its own' in found.errors
    assert f"all steps run in one process: {reason}" in found.errors
    assert 'set the variables before the run starts, and remove "env"' in found.errors


@pytest.mark.django_db
def test_a_run_in_a_transaction_is_refused(tmp_path: Path) -> None:
    assert "RB424" in run(tmp_path, TEXT).errors


def test_a_file_is_checked_whatever_the_process_of_the_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.yml").write_text(TEXT)
    monkeypatch.setattr(manage_script, "find", lambda: None)
    call_command("check_runbooks", str(tmp_path / "a.yml"), stdout=io.StringIO())
    call_command("run_runbook", str(tmp_path / "a.yml"), plan=True, stdout=io.StringIO())
    # The databases of this test are in memory, but those of a run may be elsewhere.
    monkeypatch.setattr("django_runbook.planning.own_environments.is_django_test_run", lambda: False)
    monkeypatch.setattr(isolation, "lasting_obstacle", lambda: 'the database "default" is in memory')
    shown = io.StringIO()
    with pytest.raises(CommandError):
        call_command("check_runbooks", str(tmp_path / "a.yml"), stdout=shown)
    assert 'all steps run in one process: the database "default" is in memory' in shown.getvalue()
