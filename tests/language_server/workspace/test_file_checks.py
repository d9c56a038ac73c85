from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from django_runbook import api, conf
from django_runbook.binding.catalog import Catalog
from django_runbook.language_server.workspace.editor_files import EditorFiles
from django_runbook.language_server.workspace.file_checks import check_file, is_runbook
from tests.slow_cases import slow_if

GOLDEN = Path(__file__).parents[2] / "golden"
# It has thousands of steps.
LARGE = GOLDEN / "err" / "too_many_steps.yml"


def checked(path: Path, open_files: EditorFiles | None = None) -> dict[Path, list[str]]:
    problems = check_file(path, open_files or EditorFiles(), catalog=Catalog(), configuration=conf.read())
    return {
        file: [f"{item.span.line}:{item.span.column} {item.code} {item.message}" for item in items]
        for file, items in problems.found.items()
    }


@pytest.mark.django_db
@pytest.mark.parametrize(
    "path",
    slow_if(lambda path: path == LARGE, sorted(GOLDEN.glob("*/*.yml"))),
    ids=lambda path: f"{path.parent.name}-{path.stem}",
)
def test_an_open_file_has_the_diagnostics_of_the_check(path: Path) -> None:
    [expected] = api.check([str(path)])
    open_files = EditorFiles()
    # No editor can show a file in another encoding.
    with contextlib.suppress(UnicodeDecodeError):
        open_files = open_files.opened(path, path.read_bytes().decode("utf-8"))
    problems = check_file(path, open_files, catalog=Catalog(), configuration=conf.read())
    found = [item for items in problems.found.values() for item in items]
    assert sorted(map(repr, found)) == sorted(map(repr, expected.diagnostics))


def test_unsaved_text_is_checked_instead_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "nightly.yml"
    path.write_text("steps: [nothing]\n")
    assert checked(path, EditorFiles().opened(path, "steps: [noop]\n")) == {path: []}
    assert checked(path, EditorFiles().opened(path, "").closed(path))[path] != []


def test_a_file_that_was_never_saved_is_checked(tmp_path: Path) -> None:
    path = tmp_path / "new.yml"
    assert checked(path, EditorFiles().opened(path, "steps: [noop]\n")) == {path: []}


def test_an_included_runbook_is_that_of_the_editor_and_has_its_own_diagnostics(tmp_path: Path) -> None:
    path, weekly = tmp_path / "nightly.yml", tmp_path / "weekly.yml"
    weekly.write_text("steps: [noop]\n")
    open_files = EditorFiles().opened(path, "steps:\n  - runbook: weekly.yml\n")
    assert checked(path, open_files) == {path: [], weekly: []}
    open_files = open_files.opened(weekly, "steps:\n  - noop\n  - nothing\n")
    assert checked(path, open_files) == {
        path: [],
        weekly: ['3:5 RB401 unknown command "nothing"'],
    }


def test_an_included_runbook_can_be_open_and_not_saved(tmp_path: Path) -> None:
    path, weekly = tmp_path / "nightly.yml", tmp_path / "weekly.yml"
    open_files = EditorFiles().opened(path, "steps:\n  - runbook: weekly.yml\n").opened(weekly, "steps: [noop]\n")
    assert checked(path, open_files) == {path: [], weekly: []}


def test_text_that_no_file_can_have_is_an_error_and_no_exception(tmp_path: Path) -> None:
    [problem] = checked(tmp_path / "a.yml", EditorFiles().opened(tmp_path / "a.yml", "name: \ud800\n"))[
        tmp_path / "a.yml"
    ]
    assert "RB103" in problem


@pytest.mark.parametrize(
    ("path", "language", "expected"),
    [
        ("/srv/app/runbooks/nightly.yml", "yaml", True),
        ("/srv/app/runbooks/weekly/a.yml", "yaml", True),
        ("/srv/app/docker-compose.yml", "yaml", False),
        ("/srv/app/nightly.yml", "runbook", True),
        ("/srv/app/nightly.yml", "yaml.runbook", True),
    ],
)
def test_other_yaml_files_are_left_alone(path: str, language: str, *, expected: bool) -> None:
    assert is_runbook(Path(path), language, conf.read()) is expected
