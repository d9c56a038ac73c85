"""Runs the example of the design against the Flight desk: its plan and its reports are golden files.

With the variable UPDATE_GOLDEN set, the files are written again: read the change before you commit it.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.patience import LONG_PATIENCE_SECONDS

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent
GOLDEN = ROOT / "tests" / "golden" / "run"
FLIGHTS = """year,month,day,sched_dep_time,dep_delay,arr_delay,carrier,flight,tailnum,origin,dest,air_time,distance
2013,1,1,515,2,11,UA,1545,N14228,EWR,IAH,227,1400
2013,1,1,529,75,90,UA,1714,N24211,LGA,IAH,227,1416
2013,1,2,1630,,,EV,4308,N18120,EWR,RDU,,416
"""
# What runs at the same time ends in any order.
CONCURRENT = {"import", "parallel"}


@pytest.fixture
def desk(template: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(template, tmp_path / "desk"))


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the runbooks, and a Flight desk with a few flights."""
    directory = tmp_path_factory.mktemp("template")
    for path in GOLDEN.glob("*.yml"):
        shutil.copy(path, directory)
    (directory / "flights.csv").write_text(FLIGHTS)
    manage(directory, "migrate", "--verbosity", "0")
    manage(directory, "import_flights", str(directory / "flights.csv"))
    return directory


def manage(directory: Path, *command: str) -> str:
    paths = os.pathsep.join(str(path) for path in (ROOT / "src", ROOT / "example_project"))
    environ = {"PYTHONPATH": paths, "FLIGHTDESK_VAR": str(directory / "var"), "SMTP_PASSWORD": "hunter22"}
    done = subprocess.run(
        [sys.executable, str(ROOT / "example_project" / "manage.py"), *command],
        cwd=directory,
        env={**os.environ, **environ, "DJANGO_SETTINGS_MODULE": "flightdesk.settings"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LONG_PATIENCE_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def hold(name: str, text: str) -> None:
    path = GOLDEN / name
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(text)
    assert text == path.read_text()


def test_the_plan(desk: Path) -> None:
    hold("nightly.plan", manage(desk, "run_runbook", "nightly.yml", "--plan"))


def test_the_list(desk: Path) -> None:
    hold("nightly.list", manage(desk, "run_runbook", "nightly.yml", "--list"))


def test_the_plain_report(desk: Path) -> None:
    text = manage(desk, "run_runbook", "nightly.yml", "--format", "plain", "--yes")
    hold("nightly.plain", re.sub(r"\b\d+\.\ds\b", "0.0s", "".join(in_order_of_lines(text))))


def in_order_of_lines(text: str) -> Iterator[str]:
    lines = text.splitlines(keepends=True)
    while lines:
        line = lines.pop(0)
        yield line
        words = line.split()
        if len(words) > 1 and words[0] in {"loop", "group"} and words[1].rstrip(":") in CONCURRENT:
            below = list(itertools.takewhile(lambda other: other.startswith("    "), lines))
            yield from sorted(below)
            del lines[: len(below)]


def test_the_stream_of_events(desk: Path) -> None:
    text = manage(desk, "run_runbook", "nightly.yml", "--format", "jsonl", "--yes")
    events = list(with_last_progress(json.loads(line, object_hook=without_times) for line in text.splitlines()))
    hold("nightly.jsonl", "".join(json.dumps(event) + "\n" for event in in_order_of_steps(events)))


def without_times(values: dict[str, Any]) -> dict[str, Any]:
    changing = {"at": "2013-01-01T00:00:00Z", "run_id": "1", "duration_seconds": 0.0, "traceback": ""}
    values |= {name: value for name, value in changing.items() if name in values}
    if values.get("event") == "run_finished":
        values["result"]["steps"].sort(key=lambda step: str(step["step_id"]))
    return values


def with_last_progress(events: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yields the last progress of each step before its end: how often and when it is reported depends on the time."""
    progress = {}
    for event in events:
        if event["event"] == "step_progress":
            progress[event["step_id"]] = event
        elif event["event"] == "step_finished" and event["result"]["step_id"] in progress:
            yield progress.pop(event["result"]["step_id"])
            yield event
        else:
            yield event


def in_order_of_steps(events: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    def is_concurrent(event: dict[str, Any]) -> bool:
        step_id = str(event.get("step_id") or event.get("result", {}).get("step_id", ""))
        groups = set(event.get("group_ids", ()))
        return bool(groups & CONCURRENT) or step_id.startswith(("import[", "generate_sitemaps"))

    for together, several in itertools.groupby(events, is_concurrent):
        if together:
            yield from sorted(several, key=lambda event: str(event.get("step_id") or event["result"]["step_id"]))
        else:
            yield from several
