"""Runs a runbook in this process and returns its events and streams, or starts one in a process of its own."""

from __future__ import annotations

import io
import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import CommandError, call_command

from tests.patience import wait_until
from tests.prepared import PreparedProcess

ROOT = Path(__file__).parent.parent.parent


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedRun:
    """Holds the events and the exit code of a run, its standard error, and as ``shown`` its standard output."""

    events: list[dict[str, Any]]
    exit_code: int
    errors: str
    shown: list[str]

    @property
    def statuses(self) -> dict[str, str]:
        return {step["step_id"]: step["status"] for step in self.events[-1]["result"]["steps"]}

    @property
    def status(self) -> str:
        return str(self.events[-1]["result"]["status"])

    def result(self, step_id: str) -> dict[str, Any]:
        return next(step for step in self.events[-1]["result"]["steps"] if step["step_id"] == step_id)

    def output(self, step_id: str) -> list[str]:
        return [
            event["line"]
            for event in self.events
            if event["event"] == "step_output_written" and event["step_id"] == step_id
        ]


def run(directory: Path, text: str, **options: Any) -> FinishedRun:
    """Write a runbook and run it in this process."""
    path = directory / "test.yml"
    path.write_text(text)
    stdout, stderr, exit_code = io.StringIO(), io.StringIO(), 0
    options = {"format": "jsonl", **options}
    try:
        call_command("run_runbook", str(path), stdout=stdout, stderr=stderr, **options)
    except SystemExit as error:
        exit_code = int(error.code or 0)
    except CommandError as error:
        stderr.write(str(error))
        exit_code = error.returncode
    lines = stdout.getvalue().splitlines()
    return FinishedRun(
        events=[json.loads(line) for line in lines if line.startswith("{") and options["format"] == "jsonl"],
        exit_code=exit_code,
        errors=stderr.getvalue(),
        shown=lines,
    )


def environ() -> dict[str, str]:
    """Make the environment of a program that runs runbooks as this process would, each step in its own process."""
    paths = os.pathsep.join(str(path) for path in (ROOT / "src", ROOT, ROOT / "example_project"))
    return os.environ | {
        "PYTHONPATH": paths,
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "RUNBOOK_TEST_ISOLATE": str(int(bool(settings.RUNBOOK["ISOLATE"]))),
    }


def start(
    directory: Path,
    text: str,
    *options: str,
    stdin: int = subprocess.DEVNULL,
    environ: Mapping[str, str] | None = None,
) -> subprocess.Popen[str]:
    """Start a run in a process of its own, without a terminal but for ``stdin`` where it is one."""
    (directory / "test.yml").write_text(text)
    return PreparedProcess(
        "run_runbook",
        str(directory / "test.yml"),
        *options,
        cwd=directory,
        env=_environ() | dict(environ or {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=stdin,
    )


# The parameter of `start` has its name.
_environ = environ


def wait_for(path: Path, text: str) -> None:
    """Wait until a file holds a text."""
    wait_until(lambda: path.exists() and text in path.read_text(), what=f"{text!r} in {path.name}")
