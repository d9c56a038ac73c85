from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from pytest_django import DjangoDbBlocker

from tests.journal.databases import database_on, environ_of
from tests.journal.killing import RUNBOOK
from tests.patience import scaled

pytestmark = pytest.mark.slow

# With more time, run a hundred rounds: KILL_TEST_ROUNDS=100.
ROUNDS = int(os.environ.get("KILL_TEST_ROUNDS", "3"))
SEED = int(os.environ.get("KILL_TEST_SEED", "0")) or random.randrange(1, 10**6)


@pytest.mark.parametrize("vendor", ["sqlite", "postgresql", "mariadb"])
def test_a_run_killed_anywhere_and_resumed_does_everything_once(
    tmp_path: Path, vendor: str, django_db_blocker: DjangoDbBlocker
) -> None:
    rounds = ROUNDS if vendor == "sqlite" else max(1, ROUNDS // 3)
    (tmp_path / "warm.yml").write_text(RUNBOOK)
    with django_db_blocker.unblock(), database_on(vendor, tmp_path) as settings:
        done = subprocess.run(
            [sys.executable, "-m", "tests.journal.killing", str(tmp_path), str(rounds), str(SEED)],
            capture_output=True,
            text=True,
            env=environ_of(settings),
            timeout=scaled(60 + 20 * rounds),
            check=False,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout.splitlines()[-1])
    assert report["kills"] >= rounds
