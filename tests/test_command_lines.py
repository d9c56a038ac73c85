"""How a process was started in, the line that resumes its run out."""

from __future__ import annotations

import re
import sys

import pytest

from django_runbook import command_lines

REST = ("run_runbook", "nightly.yml", "--verbosity", "0")


@pytest.mark.parametrize(
    "typed",
    [
        ("python", "manage.py"),
        ("./.venv/bin/python", "-X", "dev", "/srv/my app/manage.py"),
        ("python3.13", "-m", "django"),
        ("/srv/venv/bin/python", "/srv/venv/bin/django-admin"),
    ],
)
def test_the_program_precedes_the_command(typed: tuple[str, ...]) -> None:
    assert command_lines.program(["anything", *REST], [*typed, *REST]) == typed


@pytest.mark.parametrize("original", [(), ("celery", "worker"), ("python", "manage.py", "other")])
def test_a_process_that_was_started_otherwise_gets_the_usual_program(original: tuple[str, ...]) -> None:
    assert command_lines.program(["x", *REST], original) == ("python", "manage.py")
    assert command_lines.program(["x"], ("x",)) == ("python", "manage.py")
    assert command_lines.program(["pytest", "tests"], ("python", "-m", "pytest", "tests")) == ("python", "manage.py")


def test_the_version_is_ours_with_that_of_django() -> None:
    assert re.fullmatch(r"django-runbook \S+, Django \S+", command_lines.version())


def test_the_line_is_quoted_and_keeps_what_chooses_the_project(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["manage.py", *REST])
    monkeypatch.setattr(sys, "orig_argv", ["python", "my site/manage.py", *REST])
    options = {"settings": "site.settings", "pythonpath": None, "verbosity": 0, "format": "plain"}
    line = command_lines.resume_command("night ly.yml", "1f0d898b77aa", options=options, withheld=["token"])
    assert line == (
        "python 'my site/manage.py' run_runbook 'night ly.yml' --settings=site.settings --param token=... "
        "--resume 1f0d898b"
    )
    called = command_lines.resume_command("a.yml", "1f0d898b77aa", options={}, owns_process=False)
    assert called == "python manage.py run_runbook a.yml --resume 1f0d898b"
