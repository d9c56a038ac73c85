"""Has the tests that ``pytest --runbooks`` makes of each runbook of the project."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from django_runbook.testing import plan_snapshots

SUFFIX = ".plan"


def pytest_generate_tests(metafunc: Any) -> None:
    """Make one test of each function for each runbook."""
    found = plan_snapshots.names_of_runbooks()
    metafunc.parametrize(("name", "path"), found, ids=[name for name, _ in found])


def check(name: str, path: Path) -> None:
    """Fail with the errors of the runbook."""
    problems = plan_snapshots.problems_of(path)
    assert not problems, f"{name} has errors\n{problems}"


def plan(name: str, path: Path, pytestconfig: Any) -> None:
    """Compare the plan of the runbook with its file, which ``--update-plans`` writes."""
    if plan_snapshots.problems_of(path):
        pytest.skip(f"{name} has errors")
    folder = Path(pytestconfig.rootpath, pytestconfig.getini("runbook_plans"))
    file = folder / f"{name.strip('/')}{SUFFIX}"
    current = plan_snapshots.snapshot_of(path, name=name)
    if pytestconfig.getoption("update_plans"):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(current, encoding="utf-8")
    recorded = file.read_text(encoding="utf-8") if file.is_file() else ""
    hint = f"the plan differs from {file}: if that is meant, run pytest --runbooks --update-plans"
    assert recorded.splitlines() == current.splitlines(), hint
