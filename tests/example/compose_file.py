"""Reads example_project/compose.yaml, and starts its commands without containers."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.patience import LONG_PATIENCE_SECONDS
from tests.process_groups import started
from tests.runner.support import ROOT

EXAMPLE = ROOT / "example_project"


def services() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = yaml.safe_load((EXAMPLE / "compose.yaml").read_text())["services"]
    return found


def own_services() -> dict[str, dict[str, Any]]:
    """Return the services that run the image of the Flight desk."""
    return {name: service for name, service in services().items() if "build" in service}


class Containers:
    """Starts the commands of services on this host, with their environment except for addresses and accounts."""

    def __init__(self, project: Path, environment: dict[str, str], *, directory: Path) -> None:
        self._project = project
        self._directory = directory
        self._environment = environment

    def _environ(self, service: dict[str, Any]) -> dict[str, str]:
        own = {"FLIGHTDESK_VAR": str(self._directory), "PYTHONUNBUFFERED": "1"}
        # Not the settings of the tests, which the container does not have.
        inherited = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
        environment: dict[str, str] = service["environment"]
        return inherited | environment | own | self._environment

    @contextlib.contextmanager
    def started(self, name: str, *words: str, number: int = 0) -> Iterator[subprocess.Popen[bytes]]:
        """Start the command of a service, or another one."""
        service = services()[name]
        command, *options = words or service["command"]
        # Containers have host names of their own, from which Celery makes the names of workers.
        named = ["--hostname", f"{name}-{number}@%h"] if command == "celery" else []
        with started(
            [str(Path(sys.executable).parent / command), *options, *named],
            env=self._environ(service),
            directory=self._project,
            output=self._output(name, number),
        ) as process:
            yield process

    def run(self, name: str, *words: str) -> str:
        """Run the command of a service, or another one, which must succeed; return its output."""
        with self.started(name, *words) as process:
            assert process.wait(LONG_PATIENCE_SECONDS) == 0
        return self._output(name, 0).read_text()

    def _output(self, name: str, number: int) -> Path:
        return self._directory / f"{name}-{number}.out"
