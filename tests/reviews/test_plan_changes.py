from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_runbook.reviews.plan_changes import ChangeKind, SettingChange, compare
from tests.planning.support import plan_of
from tests.reviews.support import steps


def changes(old: str, new: str) -> list[str]:
    """Each step that is not the same, with its command line after and before."""
    found = compare(steps(old), steps(new)).steps
    return [
        f"{one.kind} {one.step.line}" + (f" was {one.before.line}" if one.before and one.replaced_words else "")
        for one in found
        if one.kind is not ChangeKind.SAME
    ]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("noop, say a", "noop, say a", []),
        ("noop, say a", "noop, say b", ["changed say b was say a"]),
        ("noop", "noop, say a", ["added say a"]),
        ("noop, say a", "say a", ["removed noop"]),
        ("say a, say b", "say b, say a", ["moved say b"]),
        # Ids are generated: those of all steps below change too.
        ("say a, say b", "say new, say a, say b", ["added say new"]),
        ("say a, say b, say c", "say b, say c", ["removed say a"]),
        ("{id: one, command: say a}", "{id: one, command: say b}", ["changed say b was say a"]),
        ("{id: one, command: say a}", "{id: two, command: say a}", ["changed say a"]),
        ("{command: noop, timeout: 5}", "{command: noop}", ["changed noop"]),
        ("{name: G, steps: [noop]}", "{name: G, steps: [noop, say a]}", ["added say a"]),
        ("{name: G, steps: [noop]}, say a", "{name: G, steps: [noop, say a]}", ["moved say a"]),
        (
            "{command: 'say ${{ item }}', for_each: [a]}",
            "{command: 'say ${{ item }}', for_each: [a, b]}",
            ["changed loop say", "added say b"],
        ),
        ("noop", "say a", ["added say a", "removed noop"]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_steps_are_matched(old: str, new: str, expected: list[str]) -> None:
    assert changes(old, new) == expected


def test_only_the_parts_of_a_command_line_that_differ_are_replaced() -> None:
    [change] = compare(steps("say a b c"), steps("say a x c")).steps
    assert change.replaced_words == [("b", "x")]


def test_a_setting_that_is_gone_is_empty() -> None:
    [change] = compare(steps("{command: noop, timeout: 5}"), steps("{command: noop, tags: [a]}")).steps
    assert change.settings == (
        SettingChange(key="timeout", before="5s", after=""),
        SettingChange(key="tags", before="", after="a"),
    )


def test_a_runbook_that_is_new_or_gone_has_steps_on_one_side() -> None:
    plan = steps("noop")
    assert [one.kind for one in compare(None, plan).steps] == [ChangeKind.ADDED]
    assert [one.kind for one in compare(plan, None).steps] == [ChangeKind.REMOVED]


def test_the_settings_of_the_file_are_compared() -> None:
    found = compare(plan_of("steps: [noop]"), plan_of("fail_fast: false\nsteps: [noop]"))
    assert found.settings == (SettingChange(key="fail_fast", before="", after="false"),)
    assert not found.is_empty
    assert compare(steps("noop"), steps("noop")).is_empty


LISTS = st.lists(
    st.sampled_from(["noop", "say a", "say b", "{id: c, command: say c}"]), min_size=1, max_size=5, unique=True
)


@given(old=LISTS, new=LISTS)
def test_each_step_of_both_plans_is_in_the_result_once(old: list[str], new: list[str]) -> None:
    found = compare(steps(", ".join(old)), steps(", ".join(new))).steps
    assert len([one for one in found if one.before is not None]) == len(old)
    assert [one.after.line for one in found if one.after is not None] == [
        one.partition("command: ")[2].strip("}") or one for one in new
    ]
