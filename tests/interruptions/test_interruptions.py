"""Walks the table of the docs: each moment of a run, with each thing that may happen to it then."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.documentation import DOCS, section_of
from tests.interruptions.moments import MOMENTS, Moment
from tests.interruptions.table import EVENTS, failures, table_of
from tests.interruptions.walking import Databases
from tests.patience import LONG_PATIENCE_SECONDS
from tests.postgres_settings import POSTGRES
from tests.prepared import PreparedProcess
from tests.runner.support import ROOT
from tests.services import require_postgres

pytestmark = pytest.mark.slow

PAGE = DOCS / "reference" / "interruptions.md"
_TABLE = re.compile(r"(?:^\|.*\n)+", re.MULTILINE)


@contextlib.contextmanager
def started(*words: str, code: str = "", **database: str) -> Iterator[PreparedProcess]:
    """Start a process on a database of the server, which ends with the context."""
    environ = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(str(path) for path in (ROOT / "src", ROOT)),
        "DJANGO_SETTINGS_MODULE": "tests.interruptions.settings",
        "WALK_DATABASE": json.dumps(POSTGRES | database),
    }
    with PreparedProcess(
        *words,
        code=code,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture(scope="module")
def migrated() -> Iterator[str]:
    """Make a database with the tables, and return its name."""
    require_postgres()
    databases = Databases(POSTGRES)
    name = databases.new()
    try:
        with started("migrate", "--verbosity", "0", NAME=name) as process:
            output, _ = process.communicate(timeout=LONG_PATIENCE_SECONDS)
        assert process.returncode == 0, output
        yield name
    finally:
        databases.drop_all()


def walk(folder: Path, moment: Moment, *, migrated: str) -> list[dict[str, Any]]:
    """Interrupt a run in each way at a moment; returns what was seen of each."""
    code = f"from pathlib import Path\nfrom tests.interruptions.walking import main\nmain(Path({str(folder)!r}), {moment.key!r}, migrated={migrated!r})"
    with started(code=code) as process:
        output, _ = process.communicate(timeout=LONG_PATIENCE_SECONDS)
    assert process.returncode == 0, output
    seen: list[dict[str, Any]] = json.loads((folder / "seen.json").read_text())
    return seen


def write(heading: str, table: str) -> None:
    """Put a table into the page, to which another process may be writing another one."""
    with PAGE.open("r+") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        page, section = stream.read(), section_of(PAGE, heading)
        stream.seek(0)
        stream.write(page.replace(section, _TABLE.sub(lambda match: table, section, count=1)))
        stream.truncate()


@pytest.mark.parametrize("moment", MOMENTS, ids=lambda moment: moment.key)
def test_a_run_that_is_interrupted_ends_as_its_page_says(tmp_path: Path, migrated: str, moment: Moment) -> None:
    seen = walk(tmp_path, moment, migrated=migrated)
    assert [cell["event"] for cell in seen] == [*EVENTS]
    wrong = [f"{cell['event']}: {failure}\n{cell.get('text')}" for cell in seen for failure in failures(cell)]
    assert wrong == []
    table = table_of(seen)
    if os.environ.get("UPDATE_DOCS"):
        write(moment.heading, table)
    written = _TABLE.search(section_of(PAGE, moment.heading))
    assert written is not None
    assert written[0].splitlines() == table.splitlines()
