"""Failed steps and their groups in, the causes out."""

from __future__ import annotations

import pytest

from django_runbook.causes import causes_of

CASES = {
    "nothing failed": ({}, [], {}),
    "a step": ({"a": []}, [], {"a": False}),
    "an ignored step": ({"a": []}, ["a"], {"a": True}),
    "a step explains its groups": ({"g": [], "h": ["g"], "a": ["g", "h"]}, [], {"a": False}),
    "a step explains no group beside it": ({"a": ["g"], "h": []}, [], {"a": False, "h": False}),
    "a group without a failed step": ({"g": []}, [], {"g": False}),
    "a step explains an ignored group, which explains no other": (
        {"a": ["g", "h"], "h": ["g"], "g": []},
        ["h"],
        {"a": True, "g": False},
    ),
    "an ignored step explains nothing": ({"a": ["g"], "g": []}, ["a"], {"a": True, "g": False}),
}


@pytest.mark.parametrize(("failed", "ignored", "causes"), CASES.values(), ids=list(CASES))
def test_a_cause_is_a_failure_that_no_inner_failure_explains(
    failed: dict[str, list[str]], ignored: list[str], causes: dict[str, bool]
) -> None:
    assert causes_of(failed, ignored=ignored) == causes
