from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from tests.reviews.support import commit


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Any) -> Path:
    monkeypatch.chdir(tmp_path)
    settings.RUNBOOK = {**settings.RUNBOOK, "DIRS": [tmp_path]}
    (tmp_path / "a.yml").write_text("steps: [say a]\n")
    (tmp_path / "b.yml").write_text("steps: [say b]\n")
    return tmp_path


def shown(*words: str) -> str:
    output = io.StringIO()
    call_command("diff_runbook", *words, stdout=output, stderr=output)
    return output.getvalue()


def refusal(*words: str) -> tuple[str, int]:
    with pytest.raises(CommandError) as caught:
        shown(*words)
    return str(caught.value), caught.value.returncode


def test_two_files_are_compared(folder: Path) -> None:
    assert shown("a.yml", "b.yml") == "b.yml: 1 changed\n  ~ say\n    - say a\n    + say b\n"
    assert shown("a.yml", "b.yml", "--format", "markdown").startswith("### <code>b.yml</code>: 1 changed\n")


@pytest.mark.slow
def test_a_file_and_a_project_are_compared_with_a_commit(folder: Path) -> None:
    commit(folder)
    assert shown() == "no runbook has changed\n"
    (folder / "a.yml").write_text("steps: [say c]\n")
    expected = "a.yml: 1 changed\n  ~ say\n    - say a\n    + say c\n"
    assert shown() == shown("--against", "HEAD") == shown("a.yml") == shown("a.yml", "--against", "HEAD") == expected


def test_parameters_are_passed_to_both_versions(folder: Path) -> None:
    (folder / "a.yml").write_text("params: {n: {type: integer}}\nsteps: ['say ${{ params.n }}']\n")
    assert "- say 3\n" in shown("a.yml", "b.yml", "--param", "n=3")


def test_an_error_in_the_new_version_ends_with_2(folder: Path) -> None:
    (folder / "b.yml").write_text("steps: [say b, unknown]\n")
    output = io.StringIO()
    with pytest.raises(CommandError) as caught:
        call_command("diff_runbook", "a.yml", "b.yml", stdout=output, stderr=output)
    assert (str(caught.value), caught.value.returncode) == ("errors in b.yml", 2)
    assert "error[RB401]" in output.getvalue()
    assert "+ say b" in output.getvalue()


def test_an_error_in_the_old_version_is_reported(folder: Path) -> None:
    (folder / "a.yml").write_text("steps: [say b, unknown]\n")
    assert "b.yml: 1 error in the old version, which may differ more than is shown" in shown("a.yml", "b.yml")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["a.yml", "b.yml", "a.yml"], "at most two files can be compared"),
        (["a.yml", "b.yml", "--against", "HEAD"], "--against compares one file with itself, not two files"),
        (["a.yml", "missing.yml"], "was not found"),
        (["a.yml", "b.yml", "--param", "n"], "--param: value number 1 is not NAME=VALUE"),
    ],
)
def test_what_cannot_be_compared_is_refused(words: list[str], message: str, folder: Path) -> None:
    text, exit_code = refusal(*words)
    assert message in text
    assert exit_code == 2
