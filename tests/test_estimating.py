"""Runbooks in, plans with estimates out."""

from __future__ import annotations

import io
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone
from pytest_django import Settings

from django_runbook.models import StepRun
from tests import journal_data
from tests.runner.support import run
from tests.testapp.models import Mark, Node, Row

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _journal(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.RUNBOOK = {**settings.RUNBOOK, "JOURNAL": True}
    monkeypatch.chdir(tmp_path)


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


def test_only_selected_steps_are_estimated() -> None:
    lines = planned("steps: [count_rows, {id: b, command: count_rows}]", "--only", "b")
    assert sum("estimate" in line for line in lines) == 1


def test_an_estimate_needs_a_plan(tmp_path: Path) -> None:
    Path("test.yml").write_text("steps: [noop]")
    with pytest.raises(CommandError, match="--estimate needs --plan") as caught:
        call_command("run_runbook", "test.yml", "--estimate", stdout=io.StringIO())
    assert caught.value.returncode == 2


def test_a_history_of_another_runbook_has_no_rate() -> None:
    made = journal_data.new_run()
    journal_data.Writer(made).step("count_rows", done_count=10)
    assert "rate" not in planned("steps: [count_rows]")[-1]
