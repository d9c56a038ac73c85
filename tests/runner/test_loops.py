"""``for_each``: which items there are, what each of them sees, and what becomes of the step as a whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.runner.support import run


def test_each_item_is_a_result_of_its_own(tmp_path: Path) -> None:
    finished = run(tmp_path, "steps: [{id: one, name: Say it, command: 'say ${{ item }}', for_each: [a, 2, true]}]")
    assert finished.statuses == {f"one[{number}]": "succeeded" for number in (1, 2, 3)} | {"one": "succeeded"}
    assert [finished.output(f"one[{number}]") for number in (1, 2, 3)] == [["a"], ["2"], ["true"]]
    assert finished.result("one[3]")["name"] == "Say it (true)"
    assert finished.result("one")["is_group"]


def test_a_mapping_of_lists_is_a_product_with_the_first_list_slowest(tmp_path: Path) -> None:
    text = """
params: {origins: [EWR, JFK]}
steps:
  - id: one
    name: ${{ item.origin }} in ${{ item.mode }}
    command: say ${{ item.origin }} ${{ item.mode }}
    for_each: {origin: "${{ params.origins }}", mode: [full, delta]}
"""
    finished = run(tmp_path, text)
    said = [finished.output(f"one[{number}]")[0] for number in (1, 2, 3, 4)]
    assert said == ["EWR full", "EWR delta", "JFK full", "JFK delta"]
    assert finished.result("one[2]")["name"] == "EWR in delta"


@pytest.mark.parametrize("items", ["[]", '"${{ params.none }}"', '{a: [1], b: "${{ params.none }}"}'])
def test_an_empty_list_is_a_skipped_step_that_says_so(tmp_path: Path, items: str) -> None:
    text = f"params: {{none: {{type: list, default: []}}}}\nsteps: [{{command: noop, for_each: {items}}}]"
    finished = run(tmp_path, text)
    assert finished.statuses == {"noop": "skipped"}
    assert finished.result("noop")["reason"] == "for_each: no items"
    assert finished.exit_code == 0


def test_items_can_come_from_an_earlier_output(tmp_path: Path) -> None:
    text = """
steps:
  - id: list
    command: say '["x", "y"]'
    capture: json
  - {id: each, command: "say ${{ item }}", for_each: "${{ steps.list.output }}", capture: text}
  - say ${{ steps.each.output | join("+") }} ${{ steps.each.results | length }}
"""
    assert run(tmp_path, text).output("say") == ["x+y 2"]


def test_more_items_than_a_person_reads_are_an_error_when_they_come(tmp_path: Path) -> None:
    text = """
steps:
  - {id: list, command: "say [%s]", capture: json}
  - {command: noop, for_each: "${{ steps.list.output }}"}
"""
    finished = run(tmp_path, text % ",".join(["1"] * 1001))
    assert '"for_each" has more than 1000 items' in finished.result("noop")["failure"]["message"]


@pytest.mark.parametrize("value", ["3", '"text"', "null", '{"a": 1}'])
def test_items_without_a_list_fail_the_step(tmp_path: Path, value: str) -> None:
    text = f"""
steps:
  - id: list
    command: say
    args: ['{value}']
    capture: json
  - {{command: noop, for_each: "${{{{ steps.list.output }}}}"}}
"""
    finished = run(tmp_path, text)
    assert finished.statuses["noop"] == "failed"
    assert '"for_each" needs a list' in finished.result("noop")["failure"]["message"]


def test_a_failed_item_ends_the_loop_and_the_step(tmp_path: Path) -> None:
    finished = run(tmp_path, "steps: [{id: one, command: 'fail --code ${{ item }}', for_each: [3, 4]}, noop]")
    assert finished.statuses == {"one[1]": "failed", "one[2]": "not_run", "one": "failed", "noop": "not_run"}
    assert finished.result("one")["failure"]["exit_code"] == 3
    assert 'step "one[1]"' in finished.result("one")["failure"]["message"]


def test_without_fail_fast_all_items_run(tmp_path: Path) -> None:
    text = "fail_fast: false\nsteps: [{id: one, command: 'fail --code ${{ item }}', for_each: [3, 4]}]"
    assert run(tmp_path, text).statuses == {"one[1]": "failed", "one[2]": "failed", "one": "failed"}


def test_each_item_is_ignored_to_fail_by_itself(tmp_path: Path) -> None:
    text = "steps: [{id: one, command: 'fail --code ${{ item }}', for_each: [3, 4], continue_on_error: [3]}]"
    finished = run(tmp_path, text)
    assert finished.statuses == {"one[1]": "failed", "one[2]": "failed", "one": "failed"}
    assert [finished.result(step_id)["ignored"] for step_id in ("one[1]", "one[2]")] == [True, False]


def test_each_item_is_retried_by_itself(tmp_path: Path) -> None:
    text = f"""
steps:
  - id: one
    command: fail --counter {tmp_path}/${{{{ item }}}} --until 2
    for_each: [a, b]
    retry: {{attempts: 3, delay: 0}}
"""
    finished = run(tmp_path, text)
    assert [finished.result(f"one[{number}]")["attempt_count"] for number in (1, 2)] == [2, 2]


def test_a_group_runs_for_each_item_with_its_handlers(tmp_path: Path) -> None:
    text = """
steps:
  - id: group
    for_each: [a, b]
    steps:
      - id: inner
        command: say ${{ item }}
        capture: text
      - say again ${{ steps.inner.output }}
    finally: ["say end ${{ item }}"]
"""
    finished = run(tmp_path, text)
    said = [event["line"] for event in finished.events if event["event"] == "step_output_written"]
    assert said == ["a", "again a", "end a", "b", "again b", "end b"]
    assert finished.statuses["inner[2]"] == "succeeded"


def test_a_loop_inside_of_a_loop_has_both_numbers(tmp_path: Path) -> None:
    text = """
steps:
  - id: outer
    for_each: [a, b]
    steps:
      - {id: inner, command: "say ${{ item }}", for_each: [1, 2]}
"""
    finished = run(tmp_path, text)
    assert [finished.output(f"inner[{pair}]")[0] for pair in ("1,1", "1,2", "2,1", "2,2")] == ["1", "2", "1", "2"]


@pytest.mark.slow
def test_items_run_together_and_their_results_keep_their_order(tmp_path: Path) -> None:
    text = """
steps:
  - {id: one, command: "say ${{ item }}", for_each: [c, a, b], max_parallel: 3, capture: text}
  - say ${{ steps.one.output | join("") }}
"""
    finished = run(tmp_path, text)
    assert finished.output("say") == ["cab"]
    started = [event for event in finished.events if event["event"] == "step_started" and "[" in event["step_id"]]
    assert all(event["is_concurrent"] for event in started)


def test_when_is_decided_once_for_all_items(tmp_path: Path) -> None:
    finished = run(tmp_path, "params: {n: 1}\nsteps: [{command: fail, for_each: [1, 2], when: params.n > 1}]")
    assert finished.statuses == {"fail": "skipped"}


@pytest.mark.only("inline")
def test_the_plan_shows_each_item_that_is_known(tmp_path: Path) -> None:
    text = """
steps:
  - {id: list, command: "say []", capture: json}
  - {id: one, command: "say ${{ item }}", for_each: [a, "b c"], max_parallel: 2}
  - {id: two, command: "say ${{ item }}", for_each: "${{ steps.list.output }}"}
"""
    assert run(tmp_path, text, plan=True).shown[1:] == [
        "  say '[]'",
        "  say:  # for each of 2 items, 2 at a time",
        "    say a",
        "    say 'b c'",
        "  say:  # for each of ? items",
        "    say ?",
    ]


@pytest.mark.slow
@pytest.mark.parametrize("max_parallel", [1, 2])
def test_an_item_that_was_not_run_is_reported_as_an_item(tmp_path: Path, max_parallel: int) -> None:
    text = f"steps: [{{id: one, command: fail, for_each: [a, b, c, ''], max_parallel: {max_parallel}}}]"
    finished = run(tmp_path, text)
    items = [finished.result(f"one[{number}]") for number in (3, 4)]
    assert [(item["status"], item["is_group"]) for item in items] == [("not_run", False)] * 2
    assert items[0]["name"] == "fail (c)"


def test_a_name_is_one_line_whatever_the_item_is(tmp_path: Path) -> None:
    text = """
steps:
  - {name: "Say ${{ item }}", command: noop, for_each: ["a\\n::error::b"], id: one}
"""
    assert run(tmp_path, text).result("one[1]")["name"] == "Say a ::error::b"


@pytest.mark.slow
def test_until_of_a_group_names_what_is_in_it(tmp_path: Path) -> None:
    text = f"""
steps:
  - id: polling
    for_each: [a, b]
    retry: {{attempts: 5, delay: 0, until: steps.ready.status == "succeeded" and steps.branch.output == item}}
    steps:
      - {{id: ready, command: "fail --counter {tmp_path}/${{{{ item }}}} --until 3", continue_on_error: true}}
      - parallel: [{{id: branch, command: "say ${{{{ item }}}}", capture: text}}]
"""
    finished = run(tmp_path, text)
    assert [finished.result(f"polling[{number}]")["attempt_count"] for number in (1, 2)] == [3, 3]
    assert (finished.status, finished.exit_code) == ("succeeded", 0)


def test_a_loop_without_items_has_been_through_all_of_them(tmp_path: Path) -> None:
    text = """
params: {none: {type: list, default: []}}
steps:
  - {id: each, command: "say ${{ item }}", for_each: "${{ params.none }}", capture: text}
  - say ${{ steps.each.results | length }} ${{ steps.each.output | length }}
"""
    assert run(tmp_path, text).output("say") == ["0 0"]
