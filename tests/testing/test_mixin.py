from __future__ import annotations

import unittest
from pathlib import Path

import pytest

from django_runbook.testing import FakedRun, RunbookTestMixin


class Case(RunbookTestMixin, unittest.TestCase):
    runbook = "nightly.yml"


@pytest.fixture
def case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Case:
    monkeypatch.chdir(tmp_path)
    Path("nightly.yml").write_text("steps: [{id: one, command: say a b}, noop]")
    Path("other.yml").write_text("steps: [noop]")
    return Case()


def run(case: Case) -> FakedRun:
    return case.run_runbook(fake={"one": "", "noop": 1})


def test_the_runbook_of_the_class_is_run_or_another_one(case: Case) -> None:
    assert run(case).statuses == {"one": "succeeded", "noop": "failed"}
    assert case.run_runbook("other.yml", fake={"noop": ""}).statuses == {"noop": "succeeded"}


def test_what_is_true_is_asserted(case: Case) -> None:
    found = run(case)
    case.assertRunStatus(found, "failed")
    case.assertStepStatus(found, "one", "succeeded")
    case.assertCalled(found, "say", "a", "b")
    case.assertCalled(found, "one")
    case.assertNotCalled(found, "migrate")


def test_what_is_not_true_fails_with_what_is(case: Case) -> None:
    found = run(case)
    with pytest.raises(AssertionError, match='the run is "failed", not "succeeded"\n  one: succeeded\n  noop: failed'):
        case.assertRunStatus(found, "succeeded")
    with pytest.raises(AssertionError, match='step "one" is "succeeded", not "failed"'):
        case.assertStepStatus(found, "one", "failed")
    with pytest.raises(AssertionError, match='step "two" is "unknown", not "failed"'):
        case.assertStepStatus(found, "two", "failed")
    with pytest.raises(AssertionError, match='"migrate" was not called'):
        case.assertCalled(found, "migrate")
    with pytest.raises(AssertionError, match='"say" was not called with c, but with\n  a b'):
        case.assertCalled(found, "say", "c")
    with pytest.raises(AssertionError, match='"say" was called with a b'):
        case.assertNotCalled(found, "say")
