from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest
from pytest_django import DjangoDbBlocker

from tests.journal.databases import VENDORS, database_on
from tests.patience import LONG_PATIENCE_SECONDS
from tests.queues.test_killing import ROUNDS
from tests.runner.support import environ

pytestmark = pytest.mark.slow

# The full run takes each statement; else each database takes others, and begins at a random one.
STRIDE = 10 if ROUNDS == 1 else 1
OFFSET = random.randrange(STRIDE)


@pytest.mark.parametrize("harm", ["kill", "break"])
@pytest.mark.parametrize("vendor", VENDORS)
def test_a_call_that_is_killed_or_disconnected_at_any_statement_has_the_right_end(
    tmp_path: Path, vendor: str, harm: str, django_db_blocker: DjangoDbBlocker
) -> None:
    offset = OFFSET + 4 * VENDORS.index(vendor)
    with django_db_blocker.unblock(), database_on(vendor, tmp_path) as database:
        variables = {
            "DJANGO_SETTINGS_MODULE": "tests.queues.settings",
            "QUEUES_DATABASE": json.dumps(database),
            "QUEUES_QUEUE": "broken",
            "QUEUES_ENGINE": "tests.queues.spool_engine.SpoolEngine",
            "QUEUES_RESEND_SECONDS": "4",
        }
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-m", "tests.queues.breaking", tmp_path, str(STRIDE), str(offset), harm],
            capture_output=True,
            text=True,
            env=environ() | variables,
            timeout=5 * LONG_PATIENCE_SECONDS,
            check=False,
        )
    assert done.returncode == 0, f"stride {STRIDE}, offset {offset}\n{done.stdout}{done.stderr}"
    fired = json.loads(done.stdout.splitlines()[-1])["fired"]
    # Some kinds of calls have fewer statements than others.
    assert any(fired.values()), fired
