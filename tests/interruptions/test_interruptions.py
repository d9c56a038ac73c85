"""Walks the table of the docs: each moment of a run, with each thing that may happen to it then."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.documentation import DOCS, section_of
from tests.interruptions.moments import MOMENTS
from tests.interruptions.table import EVENTS, failures, table_of
from tests.patience import LONG_PATIENCE_SECONDS
from tests.postgres_settings import POSTGRES
from tests.runner.support import ROOT
from tests.services import require_postgres

pytestmark = pytest.mark.slow

PAGE = DOCS / "reference" / "interruptions.md"
_TABLE = re.compile(r"(?:^\|.*\n)+", re.MULTILINE)


def walk(folder: Path) -> list[dict[str, Any]]:
    """Interrupt a run in each way at each moment; returns what was seen of each."""
    environ = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(str(path) for path in (ROOT / "src", ROOT)),
        "DJANGO_SETTINGS_MODULE": "tests.interruptions.settings",
        "WALK_DATABASE": json.dumps(POSTGRES),
    }
    done = subprocess.run(
        [sys.executable, "-m", "tests.interruptions.walking", str(folder)],
        # The process that runs the tests may ignore some signals, as nohup does, and a run respects that.
        preexec_fn=lambda: signal.signal(signal.SIGTERM, signal.SIG_DFL),
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=LONG_PATIENCE_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    seen: list[dict[str, Any]] = json.loads((folder / "seen.json").read_text())
    return seen


def write(heading: str, table: str) -> None:
    """Put a table into the page."""
    page, section = PAGE.read_text(), section_of(PAGE, heading)
    PAGE.write_text(page.replace(section, _TABLE.sub(lambda match: table, section, count=1)))


def test_a_run_that_is_interrupted_ends_as_its_page_says(tmp_path: Path) -> None:
    require_postgres()
    seen = walk(tmp_path)
    assert len(seen) == len(MOMENTS) * len(EVENTS)
    wrong = [
        f"{cell['moment']}, {cell['event']}: {failure}\n{cell.get('text')}"
        for cell in seen
        for failure in failures(cell)
    ]
    assert wrong == []
    for moment in MOMENTS:
        table = table_of([cell for cell in seen if cell["moment"] == moment.heading])
        if os.environ.get("UPDATE_DOCS"):
            write(moment.heading, table)
        written = _TABLE.search(section_of(PAGE, moment.heading))
        assert written is not None
        assert written[0].splitlines() == table.splitlines(), moment.heading
