"""Golden pairs: each `NAME.yml` gives the diagnostics of `NAME.out`, and those in `ok` give none.

With the variable UPDATE_GOLDEN set, the files are written anew: read the change before you commit it.
"""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from django_runbook.document.codes import CODES

GOLDEN = Path(__file__).parent.parent / "golden"


def check(path: Path) -> tuple[str, int]:
    stdout, exit_code = io.StringIO(), 0
    try:
        call_command("check_runbooks", path.name, stdout=stdout)
    except CommandError as error:
        exit_code = error.returncode
    return stdout.getvalue(), exit_code


@pytest.mark.parametrize("path", sorted((GOLDEN / "err").glob("*.yml")), ids=lambda path: path.stem)
@pytest.mark.django_db
def test_mistakes_are_told_as_in_the_golden_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(path.parent)
    text, exit_code = check(path)
    if os.environ.get("UPDATE_GOLDEN"):
        path.with_suffix(".out").write_text(text)
    assert text == path.with_suffix(".out").read_text()
    assert exit_code == 2


@pytest.mark.parametrize("path", sorted((GOLDEN / "ok").glob("*.yml")), ids=lambda path: path.stem)
def test_a_good_file_has_no_problems(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(path.parent)
    assert check(path) == (f"{path.name}: no problems\n", 0)


def test_each_code_has_a_golden_file() -> None:
    """But those of what is no file, or a very large one: see `test_bad_input`."""
    shown = "".join(path.read_text() for path in (GOLDEN / "err").glob("*.out"))
    assert {code for code in CODES if code not in shown} == {"RB101", "RB102"}


def test_twenty_mistakes_are_told_in_one_pass() -> None:
    text = (GOLDEN / "err" / "twenty_mistakes.out").read_text()
    assert text.count(": error[RB") == 20
    assert text.endswith("20 errors in twenty_mistakes.yml\n")
