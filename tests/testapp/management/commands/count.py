"""Says in a file how many processes of it there are, itself included."""

from __future__ import annotations

import fcntl
import os
import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand


class Command(BaseCommand):
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--folder", type=Path, required=True)
        parser.add_argument("--seconds", type=float, default=0.03)

    def handle(self, *args: Any, **options: Any) -> None:
        folder: Path = options["folder"]
        mine = folder / f"alive-{os.getpid()}"
        with mine.open("w") as file:
            # The system releases it when the process ends, in whatever way.
            fcntl.flock(file, fcntl.LOCK_EX)
            time.sleep(options["seconds"])
            count = sum(_is_alive(path) for path in folder.glob("alive-*") if path != mine) + 1
            (folder / f"seen-{os.getpid()}").write_text(str(count))


def _is_alive(path: Path) -> bool:
    with path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
