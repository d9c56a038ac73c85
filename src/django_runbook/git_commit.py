"""Asks git for the commit of a folder."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Final

_SECONDS: Final = 2.0


def commit_of(folder: Path) -> str:
    """Return the current commit of the repository around a folder; an empty string without a repository."""
    if not any((place / ".git").exists() for place in (folder, *folder.parents)):
        return ""
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), "rev-parse", "HEAD"],
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()[:64] if done.returncode == 0 else ""
