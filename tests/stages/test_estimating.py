"""Runbooks in, plans with estimates out."""

from __future__ import annotations

import io
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from django_runbook.batch.parts.read_only import read_only as really_read_only
from django_runbook.models import StepRun
from django_runbook.stages import estimating
from tests import journal_data
from tests.runner.support import run
from tests.testapp.models import Mark, Node, Row

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("history")]


def planned(text: str, *words: str) -> list[str]:
    Path("test.yml").write_text(text)
    out = io.StringIO()
    call_command("run_runbook", "test.yml", "--plan", "--estimate", *words, stdout=out)
    return out.getvalue().splitlines()


def test_each_batch_command_has_its_rows_and_the_others_are_listed() -> None:
    Row.objects.bulk_create([Row() for _ in range(10)])
    lines = planned("steps: [make_mark, {id: a, steps: [count_rows]}, noop, noop]")
    assert lines[-1] == "not estimated: make_mark, noop"
    assert "      estimate: 10 rows, 3 batches of at most 4" in lines
    assert not Mark.objects.exists()
    assert not Row.objects.filter(count__gt=0).exists()


def test_the_duration_is_that_of_the_last_rate(tmp_path: Path) -> None:
    Row.objects.bulk_create([Row() for _ in range(10)])
    run(tmp_path, "steps: [count_rows]")
    StepRun.objects.update(duration_seconds=2.0)
    Row.objects.bulk_create([Row() for _ in range(90)])
    (line,) = [line for line in planned("steps: [count_rows]") if "estimate" in line]
    assert line == "    estimate: 100 rows, 25 batches of at most 4, about 20s at the last rate of 5.0/s"
    (line,) = [line for line in planned("journal: false\nsteps: [count_rows]") if "estimate" in line]
    assert "rate" not in line


def test_a_purge_has_its_cascades() -> None:
    root = Node.objects.create(made_at=timezone.now() - timedelta(days=9))
    Node.objects.bulk_create([Node(made_at=timezone.now(), parent=root) for _ in range(3)])
    lines = planned("steps: [purge_rows testapp.Node --older-than 1d --field made_at]")
    assert lines[-2:] == ["    estimate: 1 row", "    cascades: testapp_node 3"]
    assert Node.objects.count() == 4


def test_what_cannot_be_estimated_says_why() -> None:
    text = "params: {a: {type: integer, default: 1}}\nsteps:\n  - {id: o, command: say 1, capture: text}\n"
    lines = planned(text + "  - {command: count_rows, options: {limit: '${{ steps.o.output }}'}}")
    assert "    no estimate: its arguments depend on an output" in lines
    lines = planned("steps: [purge_rows testapp.Node --older-than 1d --field nothing]")
    assert any("no estimate" in line and "has no field" in line for line in lines)


def test_a_command_that_writes_before_its_work_is_refused_by_the_database(monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.testapp.management.commands.count_rows import Command

    original = Command.handle

    def handle(self: Command, *args: object, **options: object) -> None:
        Mark.objects.create(name="too early")
        original(self, *args, **options)

    monkeypatch.setattr(Command, "handle", handle)
    lines = planned("steps: [count_rows]")
    assert "no estimate: OperationalError: attempt to write a readonly database" in lines[-1]
    assert not Mark.objects.exists()
    Mark.objects.create(name="later")


@pytest.mark.parametrize(
    ("step", "reason"),
    [
        ("{command: count_rows, when: 1 > 2}", "its condition is false"),
        ("{id: a, when: 1 > 2, steps: [count_rows]}", "its condition is false"),
        ("{command: count_rows, env: {A: b}}", "it runs with environment variables of its own"),
    ],
)
def test_steps_that_cannot_be_asked_say_why(step: str, reason: str) -> None:
    lines = planned(f"steps: [{step}, {{id: fine, command: count_rows}}]")
    assert sum("no estimate" in line and reason in line for line in lines) == 1
    # The others have theirs.
    assert "    estimate: 0 rows" in lines


def test_only_selected_steps_are_estimated() -> None:
    lines = planned("steps: [count_rows, {id: b, command: count_rows}]", "--only", "b")
    assert sum("estimate" in line for line in lines) == 1


def test_an_estimate_needs_a_plan(tmp_path: Path) -> None:
    Path("test.yml").write_text("steps: [noop]")
    with pytest.raises(CommandError, match="--estimate needs --plan") as caught:
        call_command("run_runbook", "test.yml", "--estimate", stdout=io.StringIO())
    assert caught.value.returncode == 2


def test_a_command_that_exits_or_prints_does_not_end_the_plan(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from tests.testapp.management.commands.count_rows import Command

    def handle(self: Command, *args: object, **options: object) -> None:
        print("in between")
        raise SystemExit(4)

    monkeypatch.setattr(Command, "handle", handle)
    assert planned("steps: [count_rows]")[-1] == "    no estimate: count_rows ended with exit code 4"
    assert "in between" not in capsys.readouterr().out


def test_a_database_that_cannot_be_made_read_only_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    def read_only(alias: str, **options: Any) -> Any:
        if alias == "default":
            raise CommandError("the database cannot be made read-only")
        return really_read_only(alias, **options)

    monkeypatch.setattr("django_runbook.stages.estimating.read_only", read_only)
    assert planned("steps: [count_rows]")[-1] == "    no estimate: the database cannot be made read-only"
    assert Row.objects.count() == 0


def test_a_plan_is_shown_after_its_time_with_the_estimates_that_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimating, "PLAN_SECONDS", -1.0)
    assert planned("steps: [count_rows]")[-1] == "    no estimate: the estimates of this plan have taken -1s"


def test_the_same_rows_are_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    Row.objects.bulk_create([Row() for _ in range(8)])
    with CaptureQueriesContext(connection) as queries:
        lines = planned("steps: [{command: count_rows, shards: 4}, {id: b, command: count_rows}]")
    assert lines.count("      estimate: about 2 rows, 1 batch of at most 4") == 4
    assert "    estimate: 8 rows, 2 batches of at most 4" in lines
    counts = [query["sql"] for query in queries if "COUNT(*)" in query["sql"] and Row._meta.db_table in query["sql"]]
    assert len(counts) == 1


def test_an_interrupted_plan_ends_with_the_exit_code_of_its_signal(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*args: object, **options: object) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(estimating, "with_estimates", interrupt)
    with pytest.raises(CommandError, match="interrupted") as caught:
        planned("steps: [count_rows]")
    assert caught.value.returncode == 130


def test_a_history_of_another_runbook_has_no_rate() -> None:
    made = journal_data.new_run()
    journal_data.Writer(made).step("count_rows", done_count=10)
    assert "rate" not in planned("steps: [count_rows]")[-1]
