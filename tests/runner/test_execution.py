"""Tests which outputs a run keeps in memory."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path
from typing import Any

import pytest

from tests.runner.support import run

pytestmark = pytest.mark.django_db


class Output(list[Any]):
    """Represents a large output, and can be found in memory."""


@pytest.fixture
def alive(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return how many outputs were in memory at each capture."""
    outputs: list[weakref.ref[Output]] = []
    counts: list[int] = []

    def read_output(stdout: str, capture: str | None) -> Output:
        gc.collect()
        counts.append(sum(one() is not None for one in outputs))
        found = Output([stdout])
        outputs.append(weakref.ref(found))
        return found

    monkeypatch.setattr("django_runbook.runner.commands.read_output", read_output)
    return counts


CAPTURES = "".join(f"  - {{id: step{number}, command: say {number}, capture: json}}\n" for number in range(8))


def test_an_output_that_nothing_reads_is_not_kept(tmp_path: Path, alive: list[int]) -> None:
    assert run(tmp_path, f"steps:\n{CAPTURES}").exit_code == 0
    # The last one may still be on its way to the history.
    assert max(alive) <= 1


@pytest.mark.parametrize(
    "reader",
    [
        "${{ steps.step0.output | length }}",
        '${{ steps["step0"].output | length }}',
        "${{ steps.step0['output'] | length }}",
        "${{ [steps.step0] | map(attribute='output') | first | length }}",
    ],
)
def test_an_output_that_a_later_step_reads_is_kept(tmp_path: Path, alive: list[int], reader: str) -> None:
    ended = run(tmp_path, f"steps:\n{CAPTURES}  - {{id: last, command: say, args: [{quoted(reader)}]}}\n")
    assert ended.output("last") == ["1"]
    assert max(alive) <= 2


def test_all_outputs_are_kept_for_a_computed_name(tmp_path: Path, alive: list[int]) -> None:
    last = quoted("${{ steps[params.which].output | length }}")
    text = f"params: {{which: step3}}\nsteps:\n{CAPTURES}  - {{id: last, command: say, args: [{last}]}}\n"
    assert run(tmp_path, text).output("last") == ["1"]
    assert max(alive) == 7


def test_the_outputs_of_the_items_of_a_loop_are_kept_if_the_loop_is_read(tmp_path: Path, alive: list[int]) -> None:
    loop = '  - {id: loop, command: "say ${{ item }}", for_each: [a, b, c], capture: json}\n'
    last = quoted("${{ steps.loop.output | length }} ${{ steps.loop.results[1].output | length }}")
    assert run(tmp_path, f"steps:\n{loop}  - {{id: last, command: say, args: [{last}]}}\n").output("last") == ["3 1"]
    assert run(tmp_path, f"steps:\n{loop}").exit_code == 0
    assert max(alive) == 3


def test_until_reads_the_output_of_its_own_step(tmp_path: Path) -> None:
    text = (
        "steps: [{id: own, command: say yes, capture: text, retry: {attempts: 1, until: steps.own.output == 'yes'}}]\n"
    )
    assert run(tmp_path, text).statuses == {"own": "succeeded"}


def quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
