"""Runs pytest in a project of its own, as a user does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

SETTINGS = """
from pathlib import Path
SECRET_KEY = "a public key"
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "django.contrib.sessions", "django_runbook"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
USE_TZ = True
RUNBOOK = {"DIRS": [Path(__file__).parent / "runbooks"]}
"""
NIGHTLY = """
params: {day: {type: date, default: "${{ today }}"}}
steps:
  - clearsessions
  - {id: users, command: createsuperuser --no-input, options: {username: "${{ params.day }}", email: a@example.com}}
"""
TEST = """
def test_the_night_succeeds(runbook):
    run = runbook("nightly.yml", params={"day": "2013-01-31"}, fake={"clearsessions": "", "users": [1]})
    assert run.status == "failed"
    assert run.calls_of("users")[0].options["username"] == "2013-01-31"
"""
PLAN = """nightly (nightly.yml)
  day = 2000-01-01
  clearsessions
  createsuperuser --no-input --username=2000-01-01 --email=a@example.com
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    files = {"project_settings.py": SETTINGS, "runbooks/nightly.yml": NIGHTLY, "tests/test_nightly.py": TEST}
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def run_pytest(project: Path, *words: str, settings: str = "project_settings") -> tuple[str, int]:
    # Neither the settings nor the options of the process that runs this test.
    names = ("PATH", "HOME", "COVERAGE_PROCESS_START", "PYTHONDONTWRITEBYTECODE")
    environ = {name: os.environ[name] for name in names if name in os.environ}
    if settings:
        environ["DJANGO_SETTINGS_MODULE"] = settings
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", *words]
    done = subprocess.run(
        command, cwd=project, env={**environ, "PYTHONPATH": str(project)}, capture_output=True, text=True, check=False
    )
    return done.stdout + done.stderr, done.returncode


def test_the_fixture_runs_a_runbook_with_fakes(project: Path) -> None:
    text, exit_code = run_pytest(project)
    assert "1 passed" in text, text
    assert exit_code == 0


def test_every_runbook_becomes_a_test_of_its_check_and_its_plan(project: Path) -> None:
    text, exit_code = run_pytest(project, "--runbooks", "--update-plans")
    assert "3 passed" in text, text
    assert (project / "tests" / "runbook_plans" / "nightly.yml.plan").read_text() == PLAN
    text, exit_code = run_pytest(project, "--runbooks", "-vv", "-k", "nightly.yml")
    assert "runbooks::check[nightly.yml] PASSED" in text
    assert "runbooks::plan[nightly.yml] PASSED" in text
    assert exit_code == 0


def test_a_plan_that_has_changed_fails_with_its_difference(project: Path) -> None:
    text, exit_code = run_pytest(project, "--runbooks", "-k", "plan")
    assert "run pytest --runbooks --update-plans" in text, text
    assert exit_code == 1
    run_pytest(project, "--runbooks", "--update-plans")
    (project / "runbooks" / "nightly.yml").write_text(NIGHTLY.replace("a@example.com", "b@example.com"))
    text, exit_code = run_pytest(project, "--runbooks", "-vv")
    assert "--email=b@example.com" in text
    assert "1 failed, 2 passed" in text


def test_an_invalid_runbook_fails_with_its_errors(project: Path) -> None:
    (project / "runbooks" / "broken.yml").write_text("steps: [unknown]\n")
    text, exit_code = run_pytest(project, "--runbooks", "-k", "broken.yml")
    assert "error[RB401]" in text, text
    assert "1 failed, 1 skipped" in text
    assert exit_code == 1


def test_the_folder_of_the_plans_is_an_option(project: Path) -> None:
    (project / "pytest.ini").write_text("[pytest]\nrunbook_plans = plans\npython_functions = nothing\n")
    run_pytest(project, "--runbooks", "--update-plans")
    assert (project / "plans" / "nightly.yml.plan").read_text() == PLAN


def test_without_settings_the_plugin_changes_nothing(project: Path) -> None:
    (project / "tests" / "test_nightly.py").write_text("def test_nothing(): pass\n")
    text, exit_code = run_pytest(project, settings="")
    assert "1 passed" in text, text
    assert exit_code == 0
    code = "import sys, django_runbook.pytest_plugin; print('django' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
