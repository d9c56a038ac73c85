from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command


@pytest.fixture(autouse=True)
def folder(settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    settings.RUNBOOK = {"DIRS": [tmp_path / "runbooks"]}
    monkeypatch.chdir(tmp_path)
    return tmp_path / "runbooks"


def call(command: str, *words: str) -> str:
    stdout = io.StringIO()
    call_command(command, *words, stdout=stdout)
    return stdout.getvalue()


@pytest.mark.parametrize(
    ("name", "path", "title"),
    [
        ("nightly", "nightly.yml", "Nightly"),
        ("search-index.yaml", "search-index.yml", "Search index"),
        ("ops/weekly_report.yml", "ops/weekly_report.yml", "Weekly report"),
        ("2026", "2026.yml", '"2026"'),
        ("true", "true.yml", '"True"'),
    ],
)
def test_a_new_runbook_passes_the_check(folder: Path, name: str, path: str, title: str) -> None:
    assert call("new_runbook", name) == f"wrote runbooks/{path}\n"
    assert (folder / path).read_text().startswith(f"name: {title}\n")
    assert call("check_runbooks", f"runbooks/{path}") == f"runbooks/{path}: no problems\n"


def test_what_it_suggests_passes_the_check_too(folder: Path) -> None:
    call("new_runbook", "nightly")
    text = (folder / "nightly.yml").read_text()
    (folder / "all.yml").write_text(text.replace("# ", "").replace("Replace it by the commands of this runbook.", ""))
    assert "no problems" in call("check_runbooks", "all")


@pytest.mark.parametrize(
    ("place", "shown"), [(".", "../../runbook.schema.json"), ("runbooks/ops", "runbook.schema.json")]
)
def test_the_schema_of_the_project_is_named(folder: Path, tmp_path: Path, place: str, shown: str) -> None:
    (folder / "ops").mkdir(parents=True)
    call("runbook_schema", "--generic", "--output", str(tmp_path / place / "runbook.schema.json"))
    call("new_runbook", "ops/nightly")
    assert (
        (folder / "ops" / "nightly.yml")
        .read_text()
        .startswith(f"# yaml-language-server: $schema={shown}\nname: Nightly\n")
    )


@pytest.mark.parametrize("existing", ["nightly.yml", "nightly.yaml"])
def test_an_existing_runbook_is_not_overwritten(folder: Path, existing: str) -> None:
    folder.mkdir()
    (folder / existing).write_text("steps: [noop]\n")
    with pytest.raises(CommandError, match="exists already") as caught:
        call("new_runbook", "nightly")
    assert caught.value.returncode == 2
    assert (folder / existing).read_text() == "steps: [noop]\n"


@pytest.mark.parametrize("name", ["", "../nightly", "/tmp/nightly", ".hidden", "a b", "-x", "a//b"])
def test_an_invalid_name_ends_with_2(name: str) -> None:
    with pytest.raises(CommandError, match="is not a name of letters") as caught:
        call_command("new_runbook", "--", name)
    assert caught.value.returncode == 2


def test_a_folder_can_be_given(settings: Any, tmp_path: Path) -> None:
    settings.RUNBOOK = {}
    with pytest.raises(CommandError, match="names no folder: add one, or use --directory DIR") as caught:
        call("new_runbook", "nightly")
    assert caught.value.returncode == 2
    assert call("new_runbook", "nightly", "--directory", "books") == "wrote books/nightly.yml\n"


def test_a_folder_that_cannot_be_made_ends_with_1(tmp_path: Path) -> None:
    (tmp_path / "runbooks").write_text("a file")
    with pytest.raises(CommandError, match=r"nightly\.yml: ") as caught:
        call("new_runbook", "nightly")
    assert caught.value.returncode == 1
