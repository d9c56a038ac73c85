"""Tries commands that change the user of their process: they fail, and later steps run as before."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.patience import PATIENCE_SECONDS
from tests.runner.support import environ, run

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may change the user of a process")


@pytest.mark.parametrize("how", ["for_now", "with_a_way_back", "groups"])
def test_a_changed_user_is_restored(tmp_path: Path, how: str) -> None:
    before = os.getresuid(), os.getresgid(), os.getgroups()
    report = run(tmp_path, f"fail_fast: false\nsteps: [change_user {how}, say more]\nfinally: [say end]")
    assert (os.getresuid(), os.getresgid(), os.getgroups()) == before
    assert report.statuses == {"change_user": "failed", "say": "succeeded", "say-2": "succeeded"}
    message = report.result("change_user")["failure"]["message"]
    assert message.startswith("it changed the user of the process, to ")
    assert "cannot" not in message


@pytest.mark.slow
@pytest.mark.parametrize("options", [(), ("--inline",)], ids=["isolated", "inline"])
def test_a_user_that_cannot_be_restored_fails_one_step(tmp_path: Path, options: tuple[str, ...]) -> None:
    text = "lock: false\nfail_fast: false\nsteps: [change_user for_good, say more]\nfinally: [say end]"
    (tmp_path / "test.yml").write_text(text)
    done = subprocess.run(
        [sys.executable, "-m", "django", "run_runbook", "test.yml", "--format", "plain", *options],
        cwd=tmp_path,
        env=environ() | {"RUNBOOK_TEST_ISOLATE": "1"},
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert done.returncode == 1
    assert "it changed the user of the process, to 65534:65534, which cannot be restored" in done.stdout
    assert "failed: 1 failed, 2 succeeded" in done.stdout
