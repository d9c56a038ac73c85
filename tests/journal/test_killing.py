from __future__ import annotations

import json
import os
import random
import subprocess
from pathlib import Path

import pytest
from pytest_django import DjangoDbBlocker

from tests.journal.databases import database_on, environ_of
from tests.journal.killing import RUNBOOK
from tests.patience import scaled
from tests.prepared import PreparedProcess

pytestmark = pytest.mark.slow

# With more time, run a hundred rounds: KILL_TEST_ROUNDS=100.
ROUNDS = int(os.environ.get("KILL_TEST_ROUNDS", "3"))
SEED = int(os.environ.get("KILL_TEST_SEED", "0")) or random.randrange(1, 10**6)


@pytest.mark.parametrize(
    ("vendor", "is_in_host", "share"),
    # In a host, each run starts an interpreter that forks its steps.
    [("sqlite", False, 2), ("sqlite", True, 1), ("postgresql", False, 1), ("mariadb", False, 1)],
    ids=["sqlite", "sqlite-in-host", "postgresql", "mariadb"],
)
def test_a_run_killed_anywhere_and_resumed_does_everything_once(
    tmp_path: Path, django_db_blocker: DjangoDbBlocker, *, vendor: str, is_in_host: bool, share: int
) -> None:
    rounds = max(1, ROUNDS * share // 3)
    (tmp_path / "warm.yml").write_text(RUNBOOK)
    code = f"from pathlib import Path\nfrom tests.journal.killing import main\nmain(Path({str(tmp_path)!r}), {rounds}, {SEED}, is_in_host={is_in_host})"
    with django_db_blocker.unblock(), database_on(vendor, tmp_path) as settings:
        process = PreparedProcess(
            code=code,
            env=environ_of(settings),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        with process:
            try:
                stdout, stderr = process.communicate(timeout=scaled(60 + 20 * rounds))
            finally:
                process.kill()
    assert process.returncode == 0, stdout + stderr
    report = json.loads(stdout.splitlines()[-1])
    assert report["kills"] >= rounds
