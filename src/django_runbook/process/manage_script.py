"""Finds the script that runs the management commands of the project, usually ``manage.py``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from django.conf import settings

_NAME: Final = "manage.py"
# What such a script calls. Another program, such as a worker, must not be started in its place.
_CALLS: Final = (b"execute_from_command_line", b"ManagementUtility")
_MAX_BYTES: Final = 256 * 1024


def find() -> str | None:
    """Return the path of the script: that of this process, or ``manage.py`` of the project; None if there is none."""
    return next((str(path) for path in _candidates() if _runs_commands(path)), None)


def _candidates() -> Iterator[Path]:
    own = getattr(sys.modules.get("__main__"), "__file__", None)
    if isinstance(own, str):
        yield Path(own).absolute()
    base = getattr(settings, "BASE_DIR", None)
    if isinstance(base, str | Path):
        yield Path(base) / _NAME
    yield Path.cwd() / _NAME


def _runs_commands(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            text = file.read(_MAX_BYTES)
    except OSError:
        return False
    return any(name in text for name in _CALLS)
