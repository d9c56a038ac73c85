from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from pytest_django import DjangoDbBlocker

from tests.executors import processes
from tests.journal.databases import database_on
from tests.patience import eventually, scaled
from tests.runner.support import environ
from tests.services import require_program, require_rabbitmq

pytestmark = pytest.mark.slow

# With more time, run a hundred rounds on each engine over each database: QUEUE_KILL_ROUNDS=100.
ROUNDS = int(os.environ.get("QUEUE_KILL_ROUNDS", "1"))
SEED = int(os.environ.get("QUEUE_KILL_SEED", "0")) or random.randrange(1, 10**6)
FEW = [("redis", "postgresql"), ("rabbitmq", "mariadb"), ("tasks", "postgresql")]
ALL = [(engine, vendor) for engine in ("redis", "rabbitmq", "tasks") for vendor in ("postgresql", "mariadb")]


@pytest.mark.parametrize(("engine", "vendor"), FEW if ROUNDS == 1 else ALL)
def test_steps_whose_workers_run_and_broker_are_killed_do_everything_once(
    tmp_path: Path, engine: str, vendor: str, django_db_blocker: DjangoDbBlocker
) -> None:
    if engine == "redis":
        require_program("redis-server")
    if engine == "rabbitmq":
        require_rabbitmq()
    mark = f"queue-kill-{os.getpid()}-{tmp_path.name}"
    with django_db_blocker.unblock(), database_on(vendor, tmp_path) as database:
        variables = {
            "DJANGO_SETTINGS_MODULE": "tests.queues.settings",
            "QUEUES_DATABASE": json.dumps(database),
            "QUEUES_ENGINE": "tasks" if engine == "tasks" else "celery",
            "QUEUES_LOSES_MESSAGES": "1",
            "QUEUES_RESEND_SECONDS": "1",
            # Shorter than some calls: Redis sends again what no worker has acknowledged.
            "QUEUES_BROKER_OPTIONS": '{"visibility_timeout": 5}' if engine == "redis" else "{}",
            "MARK_OF_TEST": mark,
        }
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-m", "tests.queues.killing", tmp_path, engine, str(ROUNDS), str(SEED)],
            capture_output=True,
            text=True,
            env=environ() | variables,
            timeout=scaled(180 + 60 * ROUNDS),
            check=False,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["rounds"] == ROUNDS
    assert eventually(lambda: not processes.marked(mark)), processes.marked(mark)
