from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.db import connections
from pytest_django import DjangoDbBlocker

from tests.batch.databases import alias_on, run
from tests.journal.killing import RUNBOOK
from tests.runner.support import ROOT

# A hundred and more where there is time: KILL_TEST_ROUNDS=100.
ROUNDS = int(os.environ.get("KILL_TEST_ROUNDS", "8"))
SEED = int(os.environ.get("KILL_TEST_SEED", "0")) or random.randrange(1, 10**6)


@contextmanager
def database_on(vendor: str, directory: Path) -> Iterator[dict[str, Any]]:
    """The settings of a database of its own."""
    if vendor == "sqlite":
        options = {"timeout": 20, "transaction_mode": "IMMEDIATE", "init_command": "PRAGMA journal_mode=WAL;"}
        yield {"ENGINE": "django.db.backends.sqlite3", "NAME": str(directory / "killed.sqlite3"), "OPTIONS": options}
        return
    name = f"kill_{uuid.uuid4().hex[:12]}"
    with alias_on(vendor, directory) as alias:
        run(alias, f"CREATE DATABASE {name}")
        try:
            settings = connections.settings[alias]
            yield {key: settings[key] for key in ("ENGINE", "HOST", "PORT", "USER", "PASSWORD")} | {"NAME": name}
        finally:
            run(alias, f"DROP DATABASE {name}" + (" WITH (FORCE)" if vendor == "postgresql" else ""))


@pytest.mark.parametrize("vendor", ["sqlite", "postgresql", "mariadb"])
def test_a_run_that_is_killed_anywhere_and_resumed_does_everything_once(
    tmp_path: Path, vendor: str, django_db_blocker: DjangoDbBlocker
) -> None:
    rounds = ROUNDS if vendor == "sqlite" else max(1, ROUNDS // 4)
    (tmp_path / "warm.yml").write_text(RUNBOOK)
    paths = os.pathsep.join(str(path) for path in (ROOT / "src", ROOT, ROOT / "example_project"))
    with django_db_blocker.unblock(), database_on(vendor, tmp_path) as settings:
        env = {
            **os.environ,
            "PYTHONPATH": paths,
            "DJANGO_SETTINGS_MODULE": "tests.journal.kill_settings",
            "KILL_TEST_DATABASE": json.dumps(settings),
        }
        done = subprocess.run(
            [sys.executable, "-m", "tests.journal.killing", str(tmp_path), str(rounds), str(SEED)],
            capture_output=True,
            text=True,
            env=env,
            timeout=60 + 20 * rounds,
            check=False,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["kills"] >= rounds
