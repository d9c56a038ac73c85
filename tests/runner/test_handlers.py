"""What cleans up: it runs to its end, nobody hides how it ended, and a timeout has its effect once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.runner.played import play
from tests.runner.support import run
from tests.runner.trees import Block, Case, Command, File, Step


def leaf(step_id: str, *acts: str, ignored: bool = False) -> Step:
    return Step(id=step_id, body=Command(scripts=(acts,)), continue_on_error=ignored)


def statuses(case: Case) -> dict[str, str]:
    return {result.step_id: result.status.value for result in play(case).result.steps}


def test_all_items_of_a_loop_in_finally_run_also_where_one_fails(tmp_path: Path) -> None:
    finished = run(
        tmp_path, "steps: [noop]\nfinally: [{id: one, command: 'fail --code ${{ item }}', for_each: [3, 4]}]"
    )
    assert finished.statuses == {"noop": "succeeded", "one[1]": "failed", "one[2]": "failed", "one": "failed"}
    assert finished.status == "warning"


@pytest.mark.only("inline")
def test_a_deadline_that_one_handler_ran_into_does_not_end_the_next() -> None:
    block = Block(steps=(leaf("one", "ok"),), finally_=(leaf("two", "hang"), leaf("three", "slow 9")))
    case = Case(file=File(name="main.yml", timeout=5, block=Block(steps=(Step(id="group", body=block),))))
    assert statuses(case) == {"one": "succeeded", "two": "timed_out", "three": "succeeded", "group": "succeeded"}


@pytest.mark.only("inline")
def test_a_run_that_its_timeout_cut_has_timed_out_also_where_the_step_may_fail() -> None:
    block = Block(steps=(leaf("one", "ok"), leaf("two", "hang", ignored=True)), on_failure=(leaf("three", "ok"),))
    played = play(Case(file=File(name="main.yml", timeout=5, block=block)))
    assert (played.result.status.value, played.result.exit_code) == ("failed", 124)
    assert {result.step_id: result.status.value for result in played.result.steps}["three"] == "succeeded"


@pytest.mark.only("inline")
def test_a_loop_that_a_timeout_cut_has_timed_out_also_where_the_items_may_fail() -> None:
    loop = Step(id="one", body=Command(scripts=(("ok",), ("hang",))), times=2, continue_on_error=True)
    case = Case(file=File(name="main.yml", timeout=5, block=Block(steps=(loop,))))
    assert statuses(case) == {"one[1]": "succeeded", "one[2]": "timed_out", "one": "timed_out"}


def test_a_handler_that_failed_in_an_earlier_attempt_is_not_hidden_by_a_later_one(tmp_path: Path) -> None:
    text = f"""
steps:
  - id: group
    retry: {{attempts: 2, delay: 0}}
    steps: [fail --counter {tmp_path}/n --until 2]
    on_failure: [{{id: clean, command: fail --code 4}}]
"""
    finished = run(tmp_path, text)
    assert finished.statuses == {"fail": "succeeded", "clean": "failed", "group": "succeeded"}
    assert finished.status == "warning"


def test_handlers_of_a_group_that_is_skipped_in_finally_are_not_reported(tmp_path: Path) -> None:
    text = "params: {n: 1}\nsteps: [noop]\nfinally: [{id: group, when: params.n > 1, steps: [say a], finally: [say b]}]"
    finished = run(tmp_path, text)
    ended = [event["result"]["step_id"] for event in finished.events if event["event"] == "step_finished"]
    assert ended == ["noop", "group", "say"]


def test_a_handler_of_the_run_can_read_the_ignored_failure(tmp_path: Path) -> None:
    text = (
        "steps: [{id: group, steps: [{command: fail, continue_on_error: true}]}]\non_success: ['say ${{ run.status }}']"
    )
    assert run(tmp_path, text).output("say") == ["warning"]
    assert run(tmp_path, text.replace("command: fail", "command: noop")).output("say") == ["succeeded"]
