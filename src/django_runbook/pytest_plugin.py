"""Adds runbooks to pytest: the fixture ``runbook``, and ``--runbooks``, which tests every runbook of the project.

pytest loads it wherever the package is installed, also before Django has settings: what needs them is imported when a
test asks for it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from django_runbook.testing import FakedRun

_NAME = "runbooks"


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("runbook", "runbooks of the Django project")
    group.addoption("--runbooks", action="store_true", help="Test each runbook of the project: its check and its plan.")
    group.addoption(
        "--update-plans", action="store_true", help="With --runbooks: write the plans instead of comparing."
    )
    parser.addini("runbook_plans", "The folder of the plans that --runbooks compares.", default="tests/runbook_plans")


@pytest.fixture
def runbook() -> Callable[..., FakedRun]:
    """Return `django_runbook.testing.run`, which runs a runbook with fakes in place of its commands."""
    from django_runbook.testing import run

    return run


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(session: pytest.Session, config: pytest.Config, items: list[pytest.Item]) -> None:
    """Add the tests of runbooks before options such as ``-k`` choose among all tests."""
    if not config.getoption("runbooks"):
        return
    from django_runbook.testing import runbook_checks

    module = _RunbookModule.from_parent(session, path=Path(runbook_checks.__file__), name=_NAME, nodeid=_NAME)
    added = list(session.genitems(module))
    if config.pluginmanager.hasplugin("django"):
        # A few commands read the database to build their parser.
        for item in added:
            item.add_marker(pytest.mark.django_db)
    items.extend(added)


class _RunbookModule(pytest.Module):
    """Collects the functions of ``runbook_checks``, whatever names a project gives to its tests."""

    def _getobj(self) -> Any:
        from django_runbook.testing import runbook_checks

        return runbook_checks

    def istestfunction(self, obj: object, name: str) -> bool:
        return name in {"check", "plan"}

    def istestclass(self, obj: object, name: str) -> bool:
        return False
