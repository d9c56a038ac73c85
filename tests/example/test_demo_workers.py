"""The example's backfill on two workers, as `make demo-workers` runs it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.example.project_copy import copy_of_example
from tests.executors import processes
from tests.patience import LONG_PATIENCE_SECONDS, eventually
from tests.process_groups import started

# So many that one worker is still at its first calls when the other has started.
FLIGHT_COUNT = 8000
# The demo is still running when it has printed that it starts the run.
FEW = 2000

pytestmark = pytest.mark.slow


def test_the_backfill_is_shared_by_two_workers_which_end(tmp_path: Path) -> None:
    project = copy_of_example(tmp_path / "copy", flight_count=FLIGHT_COUNT)
    done = subprocess.run(
        [sys.executable, project / "demo_workers.py"],
        cwd=tmp_path,
        env=os.environ | {"FLIGHTDESK_VAR": str(tmp_path), "DJANGO_SETTINGS_MODULE": "flightdesk.settings"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=LONG_PATIENCE_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert done.stdout.endswith("\nheavy: 8 done\n"), done.stdout
    shards = dict(re.findall(r"^\w{8} +(\S+) .* process (\d+) ", done.stdout, re.MULTILINE))
    workers = set(re.findall(r"# process (\d+)$", done.stdout, re.MULTILINE))
    assert len(shards) == 8
    assert set(shards.values()) == workers
    assert len(workers) == 2
    assert [pid for pid in workers if Path("/proc", pid).exists()] == []


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # The tables are made once.
    folder = tmp_path_factory.mktemp("demo")
    copy_of_example(folder, flight_count=FEW)
    return folder


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, signal.SIGKILL, signal.SIGINT, signal.SIGHUP], ids=lambda one: one.name
)
def test_the_workers_and_the_run_end_with_the_demo(folder: Path, number: signal.Signals) -> None:
    mark = f"demo-{os.getpid()}-{number.name}"
    variables = {"FLIGHTDESK_VAR": str(folder), "DJANGO_SETTINGS_MODULE": "flightdesk.settings", "MARK_OF_TEST": mark}
    words, output = [sys.executable, str(folder / "example_project" / "demo_workers.py")], folder / "demo.out"
    with started(words, env=os.environ | variables, directory=folder, output=output) as demo:
        assert eventually(lambda: "run_runbook" in output.read_text(), within=LONG_PATIENCE_SECONDS)
        assert len([one for one in processes.marked(mark) if "db_worker" in one]) >= 2
        # The whole group, as a terminal or a supervisor signals it.
        os.killpg(demo.pid, number)
        code = demo.wait(timeout=LONG_PATIENCE_SECONDS)
        assert code == (-number if number is signal.SIGKILL else 128 + number)
        assert eventually(lambda: not processes.marked(mark)), processes.marked(mark)
