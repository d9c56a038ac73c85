"""Finds the script that runs the management commands of the project, usually ``manage.py``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from django.conf import settings

_NAME: Final = "manage.py"
# What such a script calls. Another program, such as a worker, must not be started in its place.
_CALLS: Final = (b"execute_from_command_line", b"ManagementUtility")
_MAX_BYTES: Final = 256 * 1024


class ManageScript(NamedTuple):
    """Names a script by its path, and by its module if that was started with ``python -m``."""

    path: str
    module: str = ""


def find() -> ManageScript | None:
    """Return the script of this process, or ``manage.py`` of the project; None if there is none."""
    return next((script for script in _candidates() if _runs_commands(Path(script.path))), None)


def _candidates() -> Iterator[ManageScript]:
    main = sys.modules.get("__main__")
    own = getattr(main, "__file__", None)
    if isinstance(own, str):
        spec = getattr(main, "__spec__", None)
        yield ManageScript(str(Path(own).absolute()), "" if spec is None else spec.name)
    base = getattr(settings, "BASE_DIR", None)
    folders = [Path(base)] if isinstance(base, str | Path) else []
    yield from (ManageScript(str(folder / _NAME)) for folder in (*folders, Path.cwd()))


def _runs_commands(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            text = file.read(_MAX_BYTES)
    except OSError:
        return False
    return any(name in text for name in _CALLS)
