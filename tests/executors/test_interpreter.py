"""Commands that the project's manage.py starts in a fresh interpreter, with variables of their own."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytest_django import Settings

from django_runbook.executors.atomic import refuse_other_database
from tests.runner.support import FinishedRun, run

pytestmark = pytest.mark.slow

MANAGE = """
import os, sys
print("manage.py starts")
place = os.environ.get("PLACE")
if place == "broken":
    raise LookupError("no such place")
if place == "nowhere":
    sys.exit(0)
os.environ["DJANGO_SETTINGS_MODULE"] = f"settings_of_{place}"
from django.core.management import execute_from_command_line
execute_from_command_line(sys.argv)
print("never")
"""


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    """Make a project whose settings depend on the environment."""
    monkeypatch.chdir(tmp_path)
    settings.BASE_DIR = tmp_path
    monkeypatch.setenv("INHERITED", "yes")
    monkeypatch.setenv("REMOVED", "no")
    (tmp_path / "manage.py").write_text(MANAGE)
    (tmp_path / "settings_of_here.py").write_text("from tests.settings import *\nCHOSEN = 'here'\n")


def started(directory: Path, command: str, env: str, more: str = "") -> FinishedRun:
    text = f"secrets: [TOKEN]\nsteps:\n  - {{id: it, command: {command}, env: {env}{more}}}\n"
    return run(directory, text)


def test_manage_py_reads_the_variables_before_the_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "hunter22")
    env = '{PLACE: here, REMOVED: null, KEY: "a ${{ secrets.TOKEN }}", NUMBER: 1.50}'
    found = started(tmp_path, "show_environment PLACE INHERITED REMOVED KEY NUMBER", env)
    assert found.output("it") == [
        "manage.py starts",
        "PLACE=here",
        "INHERITED=yes",
        "REMOVED is not set",
        "KEY=a ***",
        "NUMBER=1.50",
        "settings here, argv ['show_environment', 'PLACE', 'INHERITED', 'REMOVED', 'KEY', 'NUMBER']",
    ]
    assert "hunter22" not in str(found.events) + found.errors


def test_the_step_keeps_what_an_isolated_step_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "hunter22")
    text = """
steps:
  - id: it
    command: read_input fail_first
    stdin: "answer"
    env: {PLACE: here}
    isolate: false
    atomic: true
    capture: lines
    retry: {attempts: 2, delay: 0}
  - "say ${{ steps.it.output | join('+') }}"
  - show_environment PLACE
  - id: late
    command: effect late --log log --pause 60
    env: {PLACE: here}
    timeout: 1s
    continue_on_error: true
"""
    found = run(tmp_path, text)
    assert found.statuses == {
        "it": "succeeded",
        "say": "succeeded",
        "show_environment": "succeeded",
        "late": "timed_out",
    }, found.errors
    assert found.output("say") == ["manage.py starts+answer"]
    assert found.output("show_environment")[0] == "PLACE is not set"


@pytest.mark.parametrize(("place", "message"), [("broken", "LookupError: no such place"), ("nowhere", "SystemExit: 0")])
def test_a_manage_py_that_starts_no_command_fails_the_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, message: str
) -> None:
    monkeypatch.setenv("TOKEN", "hunter22")
    found = started(tmp_path, "noop", f"{{PLACE: {place}}}")
    failure = found.result("it")["failure"]
    assert failure["message"].startswith("Django could not be set up in a subprocess: ")
    assert message in failure["message"]
    assert found.output("it")[0] == "manage.py starts"


def test_an_atomic_step_in_another_database_than_its_history_fails_before_it_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN", "hunter22")
    # A test changes the names of the databases only.
    (tmp_path / "settings_of_there.py").write_text(
        "from tests.settings import *\nDATABASES = {**DATABASES, 'default': {**DATABASES['default'], 'PORT': '1'}}\n"
    )
    found = started(tmp_path, "effect it --log log", "{PLACE: there}", ", atomic: true")
    assert found.result("it")["failure"]["message"].startswith('its "env" changes the database "default"')
    assert refuse_other_database("missing", ("django.db.backends.sqlite3", "it", "", "")) is not None
    assert not (tmp_path / "log").exists()


def test_a_project_without_manage_py_is_refused_before_anything_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN", "hunter22")
    (tmp_path / "manage.py").unlink()
    found = started(tmp_path, "noop", "{PLACE: here}")
    assert found.exit_code == 2
    assert 'RB424]: manage.py was not found, which starts a command with "env"' in found.errors
