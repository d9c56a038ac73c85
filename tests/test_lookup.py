"""Tests the label of a file in reports."""

from __future__ import annotations

from pathlib import Path

import pytest

from django_runbook import lookup


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
