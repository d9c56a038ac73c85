"""Which file starts the commands of a project."""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import django
import pytest
from pytest_django import Settings

from django_runbook.process import manage_script

CALL = "from django.core.management import execute_from_command_line\n"


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    for name in ("own", "base", "here"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "here")
    settings.BASE_DIR = tmp_path / "base"
    main = ModuleType("__main__")
    main.__file__ = str(tmp_path / "own" / "app.py")
    monkeypatch.setitem(sys.modules, "__main__", main)


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ({"own/app.py": CALL, "base/manage.py": CALL, "here/manage.py": CALL}, "own/app.py"),
        # A worker or a test must not be started in place of a command.
        ({"own/app.py": "import celery", "base/manage.py": CALL, "here/manage.py": CALL}, "base/manage.py"),
        ({"own/app.py": "import pytest", "base/manage.py": "a text", "here/manage.py": CALL}, "here/manage.py"),
        ({"here/manage.py": "ManagementUtility(argv).execute()"}, "here/manage.py"),
        ({"own/app.py": "import celery", "here/manage.py": ""}, None),
        ({}, None),
    ],
)
def test_the_first_script_that_runs_commands_is_found(tmp_path: Path, files: dict[str, str], found: str | None) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    script = manage_script.find()
    assert (script and script.path) == (None if found is None else str(tmp_path / found))


def test_the_program_of_django_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    own = Path(django.__file__).parent / "__main__.py"
    monkeypatch.setattr(sys.modules["__main__"], "__file__", str(own))
    assert manage_script.find() == (str(own), "")
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", ModuleSpec("django.__main__", None))
    assert manage_script.find() == (str(own), "django.__main__")


def test_a_project_without_base_dir_has_none(settings: Settings) -> None:
    del settings.BASE_DIR
    del sys.modules["__main__"].__file__
    assert manage_script.find() is None
