from __future__ import annotations

from pathlib import Path

import pytest

from django_runbook.exceptions import InvalidUsage
from django_runbook.reviews.git_files import files_of
from tests.reviews.support import commit, git

pytestmark = pytest.mark.slow


def test_the_files_of_a_commit_are_read_as_they_were(tmp_path: Path) -> None:
    commit(tmp_path, a="one\n", nested__b="two\n")
    commit(tmp_path, a="changed\n", nested__b=None)
    found = files_of("HEAD~1", tmp_path)
    assert found.read(tmp_path / "a.yml", "a.yml")[0].text == "one\n"
    assert found.read(tmp_path / "nested" / "b.yml", "b.yml")[0].text == "two\n"
    assert found.exists(tmp_path / "nested" / "b.yml")
    assert not files_of("HEAD", tmp_path).exists(tmp_path / "nested" / "b.yml")


def test_a_path_is_found_through_a_linked_folder(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    commit(tmp_path / "real", a="one\n")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert files_of("HEAD", tmp_path / "link").exists(tmp_path / "link" / "a.yml")


def test_a_file_outside_of_the_repository_is_not_in_it(tmp_path: Path) -> None:
    (tmp_path / "inside").mkdir()
    commit(tmp_path / "inside", a="one\n")
    assert not files_of("HEAD", tmp_path / "inside").exists(tmp_path / "a.yml")


def test_a_file_that_is_too_large_is_reported(tmp_path: Path) -> None:
    commit(tmp_path, a="# " + "x" * 1024 * 1024)
    _, [problem] = files_of("HEAD", tmp_path).read(tmp_path / "a.yml", "a.yml")
    assert problem.code == "RB102"


@pytest.mark.parametrize("reference", ["missing", "--help", "-q", "HEAD:a.yml", ""])
def test_a_reference_without_a_commit_is_refused(reference: str, tmp_path: Path) -> None:
    commit(tmp_path, a="one\n")
    with pytest.raises(InvalidUsage, match="git has no commit"):
        files_of(reference, tmp_path)


def test_a_branch_and_a_tag_are_commits(tmp_path: Path) -> None:
    commit(tmp_path, a="one\n")
    git(tmp_path, "tag", "v1")
    assert files_of("v1", tmp_path).commit == files_of("HEAD", tmp_path).commit


def test_a_folder_without_a_repository_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidUsage, match="not a git repository"):
        files_of("HEAD", tmp_path)


def test_a_machine_without_git_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InvalidUsage, match="git is not installed"):
        files_of("HEAD", tmp_path)
