"""Creates empty databases for the processes of a test, on each supported engine."""

from __future__ import annotations

import json
import os
import subprocess
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.db import connections

from tests.batch.databases import alias_on, run
from tests.patience import PATIENCE_SECONDS
from tests.prepared import PreparedProcess
from tests.runner.support import ROOT

VENDORS = ("sqlite", "postgresql", "mariadb")
# What is written survives the end of its process without being flushed to the disk.
_PRAGMAS = "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF;"


@contextmanager
def database_on(vendor: str, directory: Path) -> Iterator[dict[str, Any]]:
    """Create a database and yield its settings."""
    if vendor == "sqlite":
        options = {"timeout": 20, "transaction_mode": "IMMEDIATE", "init_command": _PRAGMAS}
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
    process = _process(folder, database, *words, stderr=subprocess.STDOUT)
    with process:
        try:
            yield process
        finally:
            process.kill()


def manage(folder: Path, database: Mapping[str, Any], *words: str) -> subprocess.CompletedProcess[str]:
    """Call a command in a process of its own, in this folder."""
    with _process(folder, database, *words, stderr=subprocess.PIPE) as process:
        try:
            stdout, stderr = process.communicate(timeout=PATIENCE_SECONDS)
        finally:
            process.kill()
    return subprocess.CompletedProcess(words, process.returncode, stdout, stderr)


def _process(folder: Path, database: Mapping[str, Any], *words: str, stderr: int) -> PreparedProcess:
    return PreparedProcess(
        *words,
        cwd=folder,
        env=environ_of(database),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=stderr,
    )
