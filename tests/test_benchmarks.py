"""Tests that the benchmarks can still be started: each project that they use, and some of them with little work."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.patience import PATIENCE_SECONDS
from tests.queues.project import TASKS_BACKENDS
from tests.runner.support import ROOT
from tests.services import require_postgres

pytestmark = pytest.mark.slow
SETTINGS = sorted(path.stem for path in (ROOT / "benchmarks").glob("*settings.py"))
SMALL = [
    ("files", "--rows", "500"),
    ("shards", "--rows", "500"),
    ("shards", "postgresql", "--rows", "500"),
    ("growth", "plan", "--sizes", "2", "4", "--turns", "1"),
]


def run_python(*words: str, folder: Path, **variables: str) -> str:
    done = subprocess.run(
        [sys.executable, *words],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(folder), **variables},
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", SETTINGS)
def test_the_project_of_a_benchmark_has_no_problem(name: str, tmp_path: Path) -> None:
    database = str(tmp_path / "db.sqlite3")
    variables = {
        "DJANGO_SETTINGS_MODULE": f"benchmarks.{name}",
        "BENCHMARK_ENGINE": "sqlite",
        "BENCHMARK_DATABASE": database,
        "QUEUES_DATABASE": json.dumps({"ENGINE": "django.db.backends.sqlite3", "NAME": database}),
        "QUEUES_ENGINE": "celery",
        "QUEUES_QUEUE": "default",
        "QUEUES_BROKER": "memory://",
        "QUEUES_TASKS_BACKEND": TASKS_BACKENDS["tasks"],
    }
    run_python("-m", "django", "migrate", "--run-syncdb", "--verbosity", "0", folder=tmp_path, **variables)


@pytest.mark.parametrize("words", SMALL, ids=lambda words: "-".join(words[:2]))
def test_a_benchmark_prints_its_ratios(words: tuple[str, ...], tmp_path: Path) -> None:
    name, *options = words
    if "postgresql" in options:
        require_postgres()
    # The user may have a search path of their own.
    found = run_python("-m", f"benchmarks.{name}", *options, folder=tmp_path, PYTHONPATH=str(tmp_path))
    assert "goal: at most" in found
