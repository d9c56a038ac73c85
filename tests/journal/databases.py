"""Creates empty databases for the processes of a test, on each supported engine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.db import connections

from tests.batch.databases import alias_on, run
from tests.runner.support import ROOT

VENDORS = ("sqlite", "postgresql", "mariadb")
PATIENCE_SECONDS = 60


@contextmanager
def database_on(vendor: str, directory: Path) -> Iterator[dict[str, Any]]:
    """Create a database and yield its settings."""
    if vendor == "sqlite":
        options = {"timeout": 20, "transaction_mode": "IMMEDIATE", "init_command": "PRAGMA journal_mode=WAL;"}
        yield {"ENGINE": "django.db.backends.sqlite3", "NAME": str(directory / "own.sqlite3"), "OPTIONS": options}
        return
    name = f"own_{uuid.uuid4().hex[:12]}"
    with alias_on(vendor, directory) as alias:
        run(alias, f"CREATE DATABASE {name}")
        try:
            settings = connections.settings[alias]
            yield {key: settings[key] for key in ("ENGINE", "HOST", "PORT", "USER", "PASSWORD")} | {"NAME": name}
        finally:
            run(alias, f"DROP DATABASE {name}" + (" WITH (FORCE)" if vendor == "postgresql" else ""))


def environ_of(database: Mapping[str, Any]) -> dict[str, str]:
    """Return the environment of a process that uses this database, with the journal enabled."""
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(str(path) for path in (ROOT / "src", ROOT, ROOT / "example_project")),
        "DJANGO_SETTINGS_MODULE": "tests.journal.kill_settings",
        "KILL_TEST_DATABASE": json.dumps(database),
    }


@contextmanager
def started(folder: Path, database: Mapping[str, Any], *words: str) -> Iterator[subprocess.Popen[str]]:
    """Start a command in a process that ends with the context."""
    process = subprocess.Popen(
        [sys.executable, "-m", "django", *words],
        cwd=folder,
        env=environ_of(database),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def manage(folder: Path, database: Mapping[str, Any], *words: str) -> subprocess.CompletedProcess[str]:
    """Call a command in a new process in this folder."""
    return subprocess.run(
        [sys.executable, "-m", "django", *words],
        capture_output=True,
        text=True,
        cwd=folder,
        env=environ_of(database),
        timeout=PATIENCE_SECONDS,
        check=False,
        stdin=subprocess.DEVNULL,
    )
