from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from django_runbook.exceptions import InvalidUsage
from django_runbook.reviews.comparison import compare_files, compare_project, compare_with_commit
from django_runbook.reviews.plan_changes import ChangeKind
from tests.reviews.support import commit

pytestmark = pytest.mark.slow


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Any) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runbooks").mkdir()
    settings.RUNBOOK = {**settings.RUNBOOK, "DIRS": [tmp_path / "runbooks"]}
    return tmp_path


def test_two_files_are_compared(repository: Path) -> None:
    (repository / "a.yml").write_text("steps: [noop]")
    (repository / "b.yml").write_text("steps: [noop, say a]")
    found = compare_files("a.yml", "b.yml", params={})
    assert found.path == "b.yml"
    assert [one.kind for one in found.changes.steps] == [ChangeKind.SAME, ChangeKind.ADDED]


def test_a_file_is_compared_with_its_commit_and_so_is_what_it_calls(repository: Path) -> None:
    commit(repository, runbooks__a="steps: [{runbook: b.yml}]", runbooks__b="steps: [say old]")
    (repository / "runbooks" / "b.yml").write_text("steps: [say new]")
    found = compare_with_commit("a.yml", "HEAD", params={})
    [changed] = [one for one in found.changes.steps if one.kind is not ChangeKind.SAME]
    assert changed.replaced_words == [("old", "new")]


def test_an_include_that_was_elsewhere_is_found_where_it_was(repository: Path) -> None:
    commit(repository, runbooks__a="steps: [{runbook: b.yml}]", b="steps: [noop]")
    commit(repository, runbooks__b="steps: [noop]", b=None)
    found = compare_with_commit("a.yml", "HEAD~1", params={})
    assert [item.code for item in found.before.diagnostics] == ["RB213"]
    assert found.after.diagnostics == ()


def test_a_new_and_a_deleted_file_are_compared_with_nothing(repository: Path) -> None:
    commit(repository, runbooks__old="steps: [noop]")
    (repository / "runbooks" / "old.yml").unlink()
    (repository / "runbooks" / "new.yml").write_text("steps: [noop]")
    assert compare_with_commit("new.yml", "HEAD", params={}).before.path == ""
    assert compare_with_commit("runbooks/old.yml", "HEAD", params={}).after.path == ""
    with pytest.raises(InvalidUsage, match="was not found"):
        compare_with_commit("missing.yml", "HEAD", params={})


def test_the_changed_runbooks_of_the_project_are_found(repository: Path) -> None:
    commit(repository, runbooks__old="steps: [noop]", runbooks__same="steps: [noop]", elsewhere="steps: [noop]")
    (repository / "runbooks" / "old.yml").unlink()
    (repository / "runbooks" / "new.yml").write_text("steps: [noop]")
    (repository / "elsewhere.yml").write_text("steps: [say a]")
    assert [one.path for one in compare_project("HEAD", params={})] == ["runbooks/new.yml", "runbooks/old.yml"]


def test_parameters_that_one_version_does_not_have_are_left_out(repository: Path) -> None:
    text = "params: {word: {type: string}}\nsteps: ['say ${{ params.word }}']"
    commit(repository, runbooks__a="steps: [say b]")
    (repository / "runbooks" / "a.yml").write_text(text)
    found = compare_with_commit("a.yml", "HEAD", params={"word": "c"})
    assert [one.replaced_words for one in found.changes.steps] == [[("b", "c")]]


def test_secrets_have_no_value(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMTP_PASSWORD", "hunter22")
    (repository / "a.yml").write_text("secrets: [SMTP_PASSWORD]\nsteps: ['say ${{ secrets.SMTP_PASSWORD }}']")
    found = compare_files("a.yml", "a.yml", params={})
    assert [one.step.line for one in found.changes.steps] == ["say ?"]


def test_a_version_that_cannot_be_read_has_no_plan(repository: Path) -> None:
    (repository / "a.yml").write_text("[]")
    (repository / "b.yml").write_text("steps: [noop]")
    found = compare_files("a.yml", "b.yml", params={})
    assert found.before.plan is None
    assert [item.code for item in found.before.diagnostics] == ["RB200"]
