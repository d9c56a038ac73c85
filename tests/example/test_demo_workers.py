"""The example's backfill on two workers, as `make demo-workers` runs it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.patience import LONG_PATIENCE_SECONDS

EXAMPLE = Path(__file__).parent.parent.parent / "example_project"

pytestmark = pytest.mark.slow


def test_the_backfill_is_shared_by_two_workers_which_end(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, EXAMPLE / "demo_workers.py"],
        cwd=tmp_path,
        env=os.environ | {"FLIGHTDESK_VAR": str(tmp_path), "DJANGO_SETTINGS_MODULE": "flightdesk.settings"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=LONG_PATIENCE_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert done.stdout.endswith("\nheavy: 8 done\n"), done.stdout
    shards = dict(re.findall(r"^\w{8} +(\S+) .* process (\d+) ", done.stdout, re.MULTILINE))
    workers = set(re.findall(r"# process (\d+)$", done.stdout, re.MULTILINE))
    assert len(shards) == 8
    assert set(shards.values()) == workers
    assert len(workers) == 2
    assert [pid for pid in workers if Path("/proc", pid).exists()] == []
