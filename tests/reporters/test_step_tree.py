"""Events and results in, the order and the causes out."""

from __future__ import annotations

from django_runbook.reporters.step_tree import Tree
from django_runbook.results import StepStatus
from tests.reporters.scenes import BUG, finished, result, started

FAILED = StepStatus.FAILED


def test_a_group_precedes_its_steps_which_are_in_the_order_of_their_starts() -> None:
    tree = Tree()
    for event in (
        started("g", argv=None),
        started("g2", argv=None, group_ids=("g",)),
        started("a", group_ids=("g", "g2")),
        started("b", group_ids=("g", "g2")),
        finished("left", StepStatus.NOT_RUN),
    ):
        tree.add(event)
    steps = [result(step_id) for step_id in ("b", "a", "g2", "g", "untold", "left")]
    assert [(depth, step.step_id) for depth, step in tree.rows(steps)] == [
        (0, "g"),
        (1, "g2"),
        (2, "a"),
        (2, "b"),
        (0, "left"),
        (0, "untold"),
    ]


def test_a_step_whose_group_has_no_result_is_below_the_next_outer_group() -> None:
    tree = Tree()
    tree.add(started("a", group_ids=("g", "g2")))
    assert [(depth, step.step_id) for depth, step in tree.rows([result("a"), result("g")])] == [(0, "g"), (1, "a")]


def test_the_cause_is_the_innermost_failure() -> None:
    tree = Tree()
    tree.add(started("a", group_ids=("g", "g2")))
    tree.add(started("g2", argv=None, group_ids=("g",)))
    all_failed = [result(step_id, FAILED, failure=BUG) for step_id in ("a", "g2", "g")]
    assert [(step.step_id, is_ignored) for step, is_ignored in tree.causes(all_failed)] == [("a", False)]
    allowed = [all_failed[0], result("g2", FAILED, failure=BUG, ignored=True), all_failed[2]]
    assert [(step.step_id, is_ignored) for step, is_ignored in tree.causes(allowed)] == [("a", True), ("g", False)]
