from __future__ import annotations

from django_runbook.document.diagnostics import Diagnostic, Span, diagnose
from django_runbook.document.formats.fingerprints import CheckedFile, identify


def at(line: int, *, code: str = "RB401", path: str = "") -> Diagnostic:
    return diagnose(code, message="unknown", span=Span(line, 1, line, 2), path=path)


def fingerprints(*found: Diagnostic, lines: str) -> list[str]:
    file = CheckedFile(path="a.yml", diagnostics=found, lines={"a.yml": lines.split("\n")})
    return [one.fingerprint for one in identify([file])]


def test_a_fingerprint_stays_the_same_if_lines_above_change() -> None:
    assert fingerprints(at(1), lines="- check") == fingerprints(at(3), lines="# more\n\n  -  check")


def test_another_line_and_another_code_have_another_fingerprint() -> None:
    first = fingerprints(at(1), lines="- check")
    assert first != fingerprints(at(1), lines="- migrate")
    assert first != fingerprints(at(1, code="RB403"), lines="- check")


def test_equal_lines_are_numbered() -> None:
    first, second = fingerprints(at(1), at(2), lines="- check\n- check")
    assert first.partition(":")[0] == second.partition(":")[0]
    assert [first[-2:], second[-2:]] == [":1", ":2"]


def test_a_diagnostic_of_an_included_runbook_is_listed_once() -> None:
    lines = {"a.yml": ["- check"], "b.yml": ["- check"]}
    files = [
        CheckedFile(path="a.yml", diagnostics=[at(1, path="b.yml")], lines=lines),
        CheckedFile(path="b.yml", diagnostics=[at(1)], lines=lines),
    ]
    assert [one.path for one in identify(files)] == ["b.yml"]


def test_a_file_without_lines_has_fingerprints_too() -> None:
    assert fingerprints(at(7), lines="") == fingerprints(at(9), lines="")
