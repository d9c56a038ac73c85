from __future__ import annotations

import json
from pathlib import Path

import pytest

from django_runbook import api
from django_runbook.management.check_formats import CHECK_FORMATS


@pytest.mark.parametrize("name", ["json", "sarif", "gitlab"])
def test_each_format_of_programs_is_json_with_the_problem(name: str, tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_text("steps: [unknown]\n")
    text = CHECK_FORMATS[name](api.check([str(tmp_path / "a.yml")]))
    assert json.loads(text)
    assert "RB401" in text


def test_an_annotation_of_github_is_a_line(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_text("steps: [unknown]\n")
    text = CHECK_FORMATS["github"](api.check([str(tmp_path / "a.yml")]))
    assert text.startswith("::error file=")
    assert text.count("\n") == 1
