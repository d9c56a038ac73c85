"""Tests how runbooks are found by name, and the label of a file in reports."""

from __future__ import annotations

from pathlib import Path

import pytest

from django_runbook import lookup
from django_runbook.conf import Configuration
from django_runbook.document.validation.called_runbooks import RefusedRunbook
from django_runbook.exceptions import InvalidUsage


@pytest.mark.parametrize(
    ("directory", "path", "expected"),
    [
        ("/srv/desk", "/srv/desk/runbooks/nightly.yml", "runbooks/nightly.yml"),
        ("/srv/desk", "/srv/books/nightly.yml", "/srv/books/nightly.yml"),
        ("/", "/srv/desk/nightly.yml", "/srv/desk/nightly.yml"),
        ("/", "nightly.yml", "nightly.yml"),
    ],
)
def test_a_path_is_relative_only_below_a_working_directory_that_says_something(
    monkeypatch: pytest.MonkeyPatch, directory: str, path: str, expected: str
) -> None:
    monkeypatch.setattr("os.getcwd", lambda: directory)
    assert lookup.label(Path(path)) == expected


def test_a_name_that_two_files_have_is_ambiguous(tmp_path: Path) -> None:
    configuration = Configuration(dirs=(tmp_path,))
    for name in ("nightly.yml", "nightly.yaml"):
        (tmp_path / name).touch()
    with pytest.raises(
        InvalidUsage, match=r'"nightly" is ambiguous: it matches .*nightly\.yml" and .*; add the suffix'
    ):
        lookup.find("nightly", configuration)
    assert lookup.find("nightly.yaml", configuration)[0] == tmp_path / "nightly.yaml"


def test_a_file_without_a_suffix_is_found_by_its_name(tmp_path: Path) -> None:
    for name in ("nightly", "nightly.yml", "nightly.yaml"):
        (tmp_path / name).touch()
    assert lookup.find("nightly", Configuration(dirs=(tmp_path,)))[0] == tmp_path / "nightly"


@pytest.mark.parametrize(
    ("name", "suggested"),
    [
        ("nightly", "ops/nightly.yml"),
        ("nightly.yml", "ops/nightly.yml"),
        ("ops/nightl", "ops/nightly.yml"),
        ("jobs/nightly", "ops/nightly.yml"),
        ("weekli", "weekly.yml"),
    ],
)
def test_a_suggestion_is_a_name_that_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, suggested: str
) -> None:
    monkeypatch.chdir(tmp_path.parent)
    (tmp_path / "ops").mkdir()
    for file in ("ops/nightly.yml", "weekly.yml"):
        (tmp_path / file).touch()
    configuration = Configuration(dirs=(tmp_path,))
    with pytest.raises(InvalidUsage, match=f'did you mean "{suggested}"'):
        lookup.find(name, configuration)
    refused = lookup.find_beside(name, str(tmp_path / "elsewhere/caller.yml"), configuration)
    assert isinstance(refused, RefusedRunbook)
    assert refused.help.startswith(f'did you mean "{suggested}"?')
    assert lookup.find(suggested, configuration)[0] == tmp_path / suggested


def test_the_list_of_what_is_available_has_names_that_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path / "..")
    (tmp_path / "ops").mkdir()
    (tmp_path / "ops/nightly.yml").touch()
    with pytest.raises(InvalidUsage, match=r"\navailable: ops/nightly\.yml$"):
        lookup.find("zz", Configuration(dirs=(tmp_path,)))


def test_an_empty_name_is_refused() -> None:
    with pytest.raises(InvalidUsage, match="the name of the file is empty"):
        lookup.find("", Configuration())
