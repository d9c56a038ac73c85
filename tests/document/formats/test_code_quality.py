from __future__ import annotations

import pytest

from django_runbook.document.diagnostics import Span, diagnose
from django_runbook.document.formats.code_quality import as_code_quality
from django_runbook.document.formats.fingerprints import CheckedFile


def test_an_issue_has_what_gitlab_asks_for() -> None:
    found = diagnose("RB401", message="unknown", span=Span(3, 5, 4, 9), help_text="write it")
    [issue] = as_code_quality([CheckedFile(path="./runbooks/a.yml", diagnostics=[found], lines={})])
    assert len(issue.pop("fingerprint")) == 64
    assert issue == {
        "description": "unknown (write it)",
        "check_name": "RB401",
        "severity": "major",
        "location": {"path": "runbooks/a.yml", "lines": {"begin": 3, "end": 4}},
    }


@pytest.mark.parametrize(("code", "severity"), [("RB401", "major"), ("RB402", "minor")])
def test_a_warning_is_minor(code: str, severity: str) -> None:
    found = diagnose(code, message="unknown", span=Span(3, 5, 4, 9))
    [issue] = as_code_quality([CheckedFile(path="a.yml", diagnostics=[found], lines={})])
    assert (issue["description"], issue["severity"]) == ("unknown", severity)


def test_fingerprints_differ_between_files() -> None:
    found = diagnose("RB401", message="unknown", span=Span(1, 1, 1, 2))
    files = [CheckedFile(path=name, diagnostics=[found], lines={name: ["- check"]}) for name in ("a.yml", "b.yml")]
    first, second = as_code_quality(files)
    assert first["fingerprint"] != second["fingerprint"]
