from __future__ import annotations

from pathlib import Path

from django_runbook.document.diagnostics import Diagnostic, Span, diagnose
from django_runbook.language_server.workspace.published_problems import PublishedProblems

NIGHTLY, WEEKLY, SHARED = Path("/nightly.yml"), Path("/weekly.yml"), Path("/shared.yml")


def problem(line: int, path: str = "") -> Diagnostic:
    return diagnose("RB401", message="unknown", span=Span(line, 1, line, 2), path=path)


def test_a_file_that_two_files_include_has_the_problems_of_both_once() -> None:
    problems = PublishedProblems()
    problems.put(NIGHTLY, {NIGHTLY: [], SHARED: [problem(1, "shared.yml"), problem(2)]})
    changed = problems.put(WEEKLY, {WEEKLY: [problem(3)], SHARED: [problem(1), problem(4)]})
    assert changed == {WEEKLY: [problem(3)], SHARED: [problem(1), problem(2), problem(4)]}


def test_a_file_that_is_no_longer_included_loses_the_problems_of_that_check() -> None:
    problems = PublishedProblems()
    problems.put(NIGHTLY, {NIGHTLY: [], SHARED: [problem(1)]})
    assert list(problems.put(WEEKLY, {WEEKLY: [], SHARED: [problem(2)]})) == [SHARED, WEEKLY]
    assert problems.put(NIGHTLY, {NIGHTLY: []}) == {NIGHTLY: [], SHARED: [problem(2)]}
    assert problems.put(WEEKLY, {}) == {SHARED: [], WEEKLY: []}


def test_the_files_that_read_a_file_are_known() -> None:
    problems = PublishedProblems()
    problems.put(NIGHTLY, {NIGHTLY: [], SHARED: []})
    problems.put(WEEKLY, {WEEKLY: []})
    assert problems.readers_of(SHARED) == [NIGHTLY]
