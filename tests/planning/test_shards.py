"""Turns ``shards`` into a loop, and refuses it where it means nothing."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from pathlib import Path

import pytest

from django_runbook import api
from django_runbook.binding.binder import Binder
from django_runbook.binding.catalog import Catalog
from django_runbook.document.inputs import GivenInputs, resolve
from django_runbook.document.syntax.source import Source
from django_runbook.document.validation.validate import load
from django_runbook.planning import dry_run
from django_runbook.planning.plan import Plan, plan
from django_runbook.planning.shards import ShardCounts, counts_in, processor_count, with_shards

NOW = datetime.datetime(2013, 1, 1, tzinfo=datetime.UTC)
BATCH = "backfill_delay_class"


def plan_of(text: str, counts: ShardCounts, *, is_dry_run: bool = False) -> Plan:
    runbook, problems = load(Source(path="nightly.yml", text=text))
    assert problems == []
    assert runbook is not None
    catalog = Catalog()
    runbook = with_shards(runbook, catalog, counts)
    if is_dry_run:
        runbook, _ = dry_run.prepare(runbook, catalog)
    return plan(runbook, resolve(runbook, GivenInputs(now=NOW, run={"id": "1"})), Binder(catalog=catalog))


def lines_of(planned: Plan) -> list[str]:
    steps = (step for step in planned.steps.values() if step.binding.tokens or step.id.endswith("]"))
    return [f"{step.id}: {' '.join(step.binding.tokens)}" for step in steps]


def codes_of(tmp_path: Path, step: str) -> list[str]:
    (tmp_path / "one.yml").write_text(f"steps:\n  - {step}\n")
    (checked,) = api.check([str(tmp_path / "one.yml")])
    return [item.code for item in checked.diagnostics]


def test_each_shard_is_an_item_with_its_own_option() -> None:
    planned = plan_of(f"steps: [{{id: fill, command: {BATCH} --batch-size 50, shards: 3}}]", ShardCounts())
    assert planned.diagnostics == ()
    assert lines_of(planned) == [f"fill[{number}]: --batch-size 50 --shard={number}/3" for number in (1, 2, 3)]
    assert planned.steps["fill"].item_count == 3


def test_a_dry_run_keeps_the_shards() -> None:
    planned = plan_of(f"steps: [{{id: fill, command: {BATCH}, shards: 2}}]", ShardCounts(), is_dry_run=True)
    assert lines_of(planned) == [f"fill[{number}]: --shard={number}/2 --dry-run" for number in (1, 2)]


@pytest.mark.parametrize(
    ("keys", "at_once"),
    [
        ("shards: 6, max_parallel: 5", 5),
        ("shards: 6, max_parallel: 1", 1),
        ("shards: 6, queue: heavy", 6),
        ("shards: 6, queue: false", min(processor_count(), 6)),
        ("shards: 6", min(processor_count(), 6)),
        ("shards: 1", 1),
    ],
)
def test_shards_run_together_on_a_queue_and_one_for_each_processor_here(keys: str, at_once: int) -> None:
    planned = plan_of(f"steps: [{{id: fill, command: {BATCH}, {keys}}}]", ShardCounts())
    assert planned.steps["fill"].step.items_at_once == at_once


@pytest.mark.parametrize(("shards", "count"), [("6", 6), ("auto", 8 * processor_count())])
def test_shards_that_do_not_go_to_workers_run_as_those_of_this_host(shards: str, count: int) -> None:
    def ask(queue: str | None) -> int:
        assert queue is None, "no worker is asked"
        return processor_count()

    counts = ShardCounts(count_workers=ask, runs_here=lambda: True)
    planned = plan_of(f"steps: [{{id: fill, command: {BATCH}, shards: {shards}, queue: heavy}}]", counts)
    assert planned.steps["fill"].item_count == count
    assert planned.steps["fill"].step.items_at_once == min(processor_count(), count)


def test_auto_makes_eight_shards_for_each_worker_of_the_queue_that_applies() -> None:
    text = f"""
steps:
  - {{id: here, command: {BATCH}, shards: auto}}
  - queue: heavy
    steps:
      - {{id: inherited, command: {BATCH}, shards: auto}}
      - {{id: own, command: {BATCH}, shards: auto, queue: light}}
      - {{id: local, command: {BATCH}, shards: auto, queue: false}}
finally:
  - {{id: many, command: {BATCH}, shards: auto, queue: huge}}
  - {{id: none, command: {BATCH}, shards: auto, queue: idle}}
"""
    workers = {None: 1, "heavy": 3, "light": 2, "huge": 10_000, "idle": 0}
    planned = plan_of(text, ShardCounts(count_workers=workers.__getitem__))
    counts = {"here": 8, "inherited": 24, "own": 16, "local": 8, "many": 1000, "none": 8}
    assert counts_in(planned.outline) == counts


@pytest.mark.parametrize(("earlier", "count"), [({}, 8), ({"fill": 5}, 5), ({"other": 5}, 8)])
def test_a_resumed_run_keeps_the_number_that_auto_made(earlier: Mapping[str, int], count: int) -> None:
    counts = ShardCounts(earlier=earlier, count_workers=lambda queue: 1)
    planned = plan_of(f"steps: [{{id: fill, command: {BATCH}, shards: auto}}]", counts)
    assert counts_in(planned.outline) == {"fill": count}


@pytest.mark.parametrize(
    "value", ["0", "-1", "1001", "1.5", "true", "yes", "Auto", "null", "[2]", "{count: 2}", '"8"', '"${{ params.n }}"']
)
def test_another_value_is_refused(tmp_path: Path, value: str) -> None:
    assert "RB205" in codes_of(tmp_path, f"{{command: {BATCH}, shards: {value}}}")


@pytest.mark.parametrize(
    ("step", "codes"),
    [
        (f"{{command: {BATCH}, shards: 2, for_each: [1, 2]}}", ["RB219"]),
        (f"{{command: {BATCH}, shards: 2, lock: one}}", ["RB219"]),
        ("{command: noop, shards: 2}", ["RB422"]),
        ("{command: noop, shards: auto, queue: false}", ["RB422"]),
        (f"{{command: {BATCH} --shard 1/2, shards: 2}}", ["RB409", "RB409"]),
        (f"{{command: {BATCH}, options: {{shard: 1/2}}, shards: 2}}", ["RB409", "RB409"]),
        (f"{{command: {BATCH}, atomic: true, shards: 2}}", ["RB420", "RB420"]),
        ("{command: nope, shards: 2}", ["RB401"]),
        ("{steps: [noop], shards: 2}", ["RB201"]),
        (f"{{command: {BATCH}, max_parallel: 2}}", ["RB217"]),
    ],
)
def test_shards_are_refused_where_they_mean_nothing(tmp_path: Path, step: str, codes: list[str]) -> None:
    found = codes_of(tmp_path, step)
    assert sorted(set(found)) == sorted(set(codes)), found


@pytest.mark.parametrize(("key", "codes"), [("shards: 2", []), ("no_log: false", ["RB305"])])
def test_a_step_with_shards_has_the_results_of_a_loop(tmp_path: Path, key: str, codes: list[str]) -> None:
    text = f"{{id: fill, command: {BATCH}, {key}, capture: text}}\n"
    text += "  - check --tag ${{ steps.fill.results | length }} --tag ${{ steps.fill.output | length }}"
    assert codes_of(tmp_path, text) == codes


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (f"{{id: fill, command: {BATCH}, shards: auto}}", 5),
        (f"{{id: fill, command: {BATCH} --restart, shards: auto}}", 16),
        (f"{{id: fill, command: {BATCH}, options: {{restart: true}}, shards: auto}}", 16),
        (f"{{id: fill, command: {BATCH}, options: {{restart: false}}, shards: auto}}", 5),
        (f"{{id: fill, command: {BATCH}, shards: 3}}", 3),
        (f"{{id: other, command: {BATCH}, shards: auto}}", 16),
    ],
)
def test_auto_keeps_the_shards_of_unfinished_work(step: str, expected: int) -> None:
    counts = ShardCounts(unfinished=lambda: {"fill": 5}, count_workers=lambda queue: 2)
    assert len(lines_of(plan_of(f"steps: [{step}]", counts))) == expected


def test_a_resumed_run_keeps_its_shards_although_it_starts_over() -> None:
    counts = ShardCounts(earlier={"fill": 4}, unfinished=lambda: {"fill": 5})
    step = f"{{id: fill, command: {BATCH} --restart, shards: auto}}"
    assert len(lines_of(plan_of(f"steps: [{step}]", counts))) == 4
