"""Tests which changes of the file are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from django_runbook import conf
from django_runbook.locks import factory
from tests.journal.support import effects, resume
from tests.resume.support import TWO, fail_now, fix
from tests.runner.support import run

pytestmark = pytest.mark.django_db


def test_a_changed_completed_step_is_refused_with_a_diff(tmp_path: Path) -> None:
    fail_now(tmp_path)
    text = "steps:\n  - {id: one, command: effect one --log log}\n  - {id: two, command: effect two --log log --fail-if broken}\n"
    run(tmp_path, text)
    fix(tmp_path)
    changed = text.replace("effect one", "effect uno")
    ended = resume(tmp_path, changed)
    assert ended.exit_code == 2
    assert "-command: effect one --log log" in ended.errors
    assert "+command: effect uno --log log" in ended.errors
    assert "--accept-changes" in ended.errors
    assert effects(tmp_path) == ["one", "two"]
    assert resume(tmp_path, changed, accept_changes=True).exit_code == 0
    assert effects(tmp_path) == ["one", "two", "two"]


def test_a_new_step_in_a_completed_group_is_refused(tmp_path: Path) -> None:
    fail_now(tmp_path)
    text = """\
steps:
  - {id: group, steps: [{id: a, command: effect a --log log}]}
  - {id: after, command: effect after --log log --fail-if broken}
"""
    run(tmp_path, text)
    fix(tmp_path)
    more = text.replace("--log log}]", "--log log}, {id: new, command: effect new --log log}]")
    ended = resume(tmp_path, more)
    assert ended.exit_code == 2
    assert 'step "new" is new in a completed group' in ended.errors
    assert resume(tmp_path, more, accept_changes=True).exit_code == 0
    assert effects(tmp_path) == ["a", "after", "after"]


def test_a_failed_step_may_be_fixed_in_the_file(tmp_path: Path) -> None:
    fail_now(tmp_path)
    run(tmp_path, TWO)
    assert resume(tmp_path, TWO.replace(" --fail-if broken", "")).exit_code == 0
    assert effects(tmp_path) == ["one", "two", "two"]


def test_a_removed_completed_step_is_refused(tmp_path: Path) -> None:
    fail_now(tmp_path)
    run(tmp_path, TWO)
    ended = resume(tmp_path, "steps:" + TWO.partition("log}")[2])
    assert ended.exit_code == 2
    assert 'step "one" is no longer in the runbook' in ended.errors


def test_a_variable_is_part_of_the_completed_step_that_used_it(tmp_path: Path) -> None:
    fail_now(tmp_path)
    text = "vars: {inner: x, word: '${{ vars.inner }}y', other: z}\n" + TWO.replace(
        "effect one", "effect '${{ vars.word }}'"
    ).replace("command: effect '${{ vars.word }}' --log log", 'command: "effect ${{ vars.word }} --log log"')
    assert run(tmp_path, text).exit_code == 1
    fix(tmp_path)
    assert "+vars.inner: new" in resume(tmp_path, text.replace("inner: x", "inner: new")).errors
    assert resume(tmp_path, text.replace("other: z", "other: new")).exit_code == 0


def test_names_and_descriptions_may_change(tmp_path: Path) -> None:
    fail_now(tmp_path)
    run(tmp_path, TWO)
    fix(tmp_path)
    changed = TWO.replace("{id: one,", "{id: one, name: The first, description: new, tags: [a],")
    assert resume(tmp_path, changed).exit_code == 0


MOVED = """\
steps:
  - id: group
    steps:
      - {id: a, command: effect a --log log}
  - {id: b, command: effect b --log log --fail-if broken}
  - {id: c, command: effect c --log log}
"""


def test_a_step_moved_into_a_completed_group_is_refused(tmp_path: Path) -> None:
    fail_now(tmp_path)
    run(tmp_path, MOVED)
    fix(tmp_path)
    ended = resume(
        tmp_path, MOVED.replace("\n  - {id: b", "\n      - {id: b").replace("\n  - {id: c", "\n      - {id: c")
    )
    assert ended.exit_code == 2
    assert 'step "b" is new in a completed group\nstep "c" is new in a completed group' in ended.errors
    assert effects(tmp_path) == ["a", "b"]


@pytest.mark.parametrize("items", ["[x, y]", "${{ ['x', 'y'] }}"])
def test_a_new_step_in_completed_items_is_refused(tmp_path: Path, items: str) -> None:
    fail_now(tmp_path)
    text = f"""\
steps:
  - id: group
    for_each: "{items}"
    steps:
      - {{id: a, command: "effect a-${{{{ item }}}} --log log"}}
      - {{id: none, for_each: [], steps: [noop]}}
      - {{id: b, command: effect b --log log, options: {{fail-if: "${{{{ 'broken' if item == 'y' else 'no' }}}}"}}}}
"""
    if items.startswith("["):
        text = text.replace(f'"{items}"', items)
    run(tmp_path, text)
    fix(tmp_path)
    added = text + "      - {id: new, command: effect new --log log}\n"
    ended = resume(tmp_path, added)
    assert (ended.exit_code, 'step "new" is new in a completed group' in ended.errors) == (2, True)
    assert resume(tmp_path, added, accept_changes=True).exit_code == 0
    assert effects(tmp_path) == ["a-x", "b", "a-y", "b", "b", "new"]


@pytest.mark.parametrize(("before", "after"), [("", "for_each: [1, 2], "), ("for_each: [1, 2], ", "")])
def test_a_completed_step_cannot_move_into_a_loop_or_out_of_it(tmp_path: Path, before: str, after: str) -> None:
    fail_now(tmp_path)
    text = """\
steps:
  - {id: outer, %ssteps: [{id: inner, steps: [effect a --log log]}, {id: b, command: effect b --log log --fail-if broken}]}
"""
    run(tmp_path, text % before)
    fix(tmp_path)
    ended = resume(tmp_path, text % after)
    assert ended.exit_code == 2
    assert "outer" in ended.errors
    assert 'step "inner" is in a different loop now, or no longer in a loop' in ended.errors
    assert effects(tmp_path) == ["a", "b"]


@pytest.mark.parametrize(
    "inside",
    [
        "steps: [{id: bad, command: fail}, {id: l, for_each: [x, y], steps: [noop]}]",
        "for_each: '${{ steps.o.output.nothing }}', steps: [noop]",
        "lock: held, steps: [noop]",
        "when: steps.o.output.nothing, steps: [noop]",
        "parallel: [{id: quick, command: fail}, {id: slow, command: effect slow --log log --until never}]",
    ],
    ids=["loop", "items", "lock", "condition", "branch"],
)
def test_a_group_that_was_never_entered_is_not_a_change(tmp_path: Path, inside: str) -> None:
    fail_now(tmp_path)
    text = f"""\
steps:
  - {{id: o, command: "say 1", capture: json}}
  - {{id: g, continue_on_error: true, {inside}}}
  - {{id: late, command: effect late --log log --fail-if broken}}
"""
    lock = factory.new_factory(conf.read(), what="the other one")("held")
    assert lock.acquire() is None
    try:
        assert run(tmp_path, text).statuses["late"] == "failed"
    finally:
        lock.release()
    fix(tmp_path)
    ended = resume(tmp_path)
    assert ended.exit_code == 0, ended.errors


def test_the_defaults_of_a_called_runbook_are_part_of_its_completed_steps(tmp_path: Path) -> None:
    fail_now(tmp_path)
    other = """\
params: {n: 1, m: 1, unused: 1}
vars: {both: "${{ params.n }}+${{ params.m }}"}
steps:
  - effect a-${{ vars.both }} --log log
  - effect b --log log --fail-if broken
"""
    (tmp_path / "other.yml").write_text(other)
    run(tmp_path, "steps: [{id: call, runbook: other.yml, params: {m: 5}}]\n")
    fix(tmp_path)
    (tmp_path / "other.yml").write_text(other.replace("n: 1", "n: 2"))
    ended = resume(tmp_path)
    assert ended.exit_code == 2
    assert "-params.n: 1\n+params.n: 2" in ended.errors
    (tmp_path / "other.yml").write_text(other.replace("m: 1", "m: 2").replace("unused: 1", "unused: 2"))
    assert resume(tmp_path).exit_code == 0
    assert effects(tmp_path) == ["a-1+5", "b", "b"]


def test_the_standard_input_is_part_of_the_completed_step(tmp_path: Path) -> None:
    fail_now(tmp_path)
    text = TWO.replace("{id: one, ", "{id: one, stdin: yes, ")
    assert run(tmp_path, text).exit_code == 1
    fix(tmp_path)
    assert "+stdin: of course" in resume(tmp_path, text.replace("stdin: yes", "stdin: of course")).errors


def test_the_default_of_a_variable_is_part_of_the_completed_step_that_read_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_now(tmp_path)
    text = "env: [{name: A_OF_TEST, default: a}, {name: B_OF_TEST, default: b}]\n" + TWO.replace(
        "{id: one, command: effect one --log log",
        '{id: one, command: "effect ${{ env.A_OF_TEST }}${{ env.B_OF_TEST }} --log log"',
    )
    monkeypatch.setenv("B_OF_TEST", "set")
    assert run(tmp_path, text).exit_code == 1
    fix(tmp_path)
    assert "+env.A_OF_TEST: new" in resume(tmp_path, text.replace("default: a", "default: new")).errors
    # The run began with a value of this one.
    assert resume(tmp_path, text.replace("default: b", "default: new")).exit_code == 0
