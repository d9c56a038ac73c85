"""Makes repositories and plans for the tests of reviews."""

from __future__ import annotations

import subprocess
from pathlib import Path

from django_runbook.planning.plan import Plan
from tests.planning.support import plan_of


def commit(folder: Path, **files: str | None) -> None:
    """Write files, named without their suffix, or delete those that are None; commit all changes."""
    if not (folder / ".git").exists():
        git(folder, "init", "--quiet", ".")
    for name, text in files.items():
        path = folder / f"{name.replace('__', '/')}.yml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        if text is not None:
            path.write_text(text)
    git(folder, "add", "--all")
    git(folder, "-c", "user.name=Ops", "-c", "user.email=ops@example.com", "commit", "--quiet", "--message", "Change")


def git(folder: Path, *words: str) -> None:
    subprocess.run(["git", "-C", str(folder), *words], check=True, capture_output=True)


def steps(text: str) -> Plan:
    """Plan these steps."""
    return plan_of(f"steps: [{text}]")
