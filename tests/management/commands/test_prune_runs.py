"""Stored runs in, remaining runs out."""

from __future__ import annotations

import datetime
import io
import uuid
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db.models import QuerySet
from django.utils import timezone
from pytest_django import Settings

from django_runbook import conf
from django_runbook.locks import factory
from django_runbook.management.commands import prune_runs
from django_runbook.models import RUNNING, Run, StepRun
from django_runbook.models.calls import Call, CallOutput, worker_lock_name
from django_runbook.models.checkpoints import Checkpoint, FinishedKey
from tests.management.commands.stored_runs import made, show
from tests.queues.calls_data import add_call, worker_lock
from tests.resume.support import held

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("history")]


def prune(*words: str) -> str:
    out = io.StringIO()
    call_command("prune_runs", *words, stdout=out)
    return out.getvalue()


def test_old_runs_are_deleted_with_their_steps_and_the_newest_are_kept() -> None:
    old = [made("a.yml", days=100 + number) for number in range(3)]
    other = made("b.yml", days=400)
    new = made("a.yml", days=1)
    assert prune("--older-than", "90d", "--keep", "2") == "2 done\n"
    assert set(Run.objects.all()) == {new, old[0], other}
    assert set(StepRun.objects.values_list("run", flat=True)) == {new.pk, old[0].pk, other.pk}


def test_calls_on_workers_are_deleted_with_their_run_and_their_output() -> None:
    runs = [made("a.yml", days=days) for days in (100, 1)]
    for run in runs:
        for number in (1, 2):
            columns = {"engine": "celery", "queue": "heavy", "command": "noop", "attempt": 1, "number": number}
            call = Call.objects.create(id=uuid.uuid4().hex, run=run, step_id="one", **columns)
            CallOutput.objects.create(call=call, number=1, lines=[["stdout", "a line"]])
    prune("--older-than", "90d", "--keep", "0")
    assert list(Call.objects.values_list("run", flat=True)) == [runs[1].pk] * 2
    assert list(CallOutput.objects.values_list("call__run", flat=True)) == [runs[1].pk] * 2


def test_a_run_whose_worker_still_runs_a_step_is_kept(capsys: pytest.CaptureFixture[str]) -> None:
    called, other = (made("a.yml", days=100) for _ in range(2))
    for run, worker in ((called, "lives"), (other, "died")):
        add_call(run, status="running", worker=worker)
        worker_lock(worker)
    with held(worker_lock_name("lives")):
        prune("--keep", "0", "--verbosity", "2")
    assert f"run {called.pk} is kept: a worker may still run one of its steps" in capsys.readouterr().err
    assert Run.objects.get() == called
    assert Call.objects.get().run == called
    prune("--keep", "0")
    assert not Run.objects.exists()


def test_a_refused_run_does_not_displace_another_one() -> None:
    old = [made("a.yml", days=100 + number) for number in range(3)]
    refused = [made("a.yml", days=days, status="refused") for days in (200, 101, 95, 1)]
    made("b.yml", days=100, status="refused")
    prune("--older-than", "90d", "--keep", "2")
    assert set(Run.objects.all()) == {old[0], old[1], refused[3]}


def test_finished_keys_are_pruned_with_the_runs_of_their_time() -> None:
    for days in (100, 1):
        at = timezone.now() - datetime.timedelta(days=days)
        FinishedKey.objects.create(scope="a", key_digest=str(days), run_key=str(days), command="x", finished_at=at)
    prune("--older-than", "90d")
    assert FinishedKey.objects.get().run_key == "1"


def test_by_default_a_hundred_runs_of_each_runbook_are_kept() -> None:
    made("a.yml", days=1000)
    assert prune() == "0 done\n"
    assert prune("--keep", "0") == "1 done\n"


def test_a_running_run_is_kept() -> None:
    row, dead = (made("a.yml", days=100, status=RUNNING, owner=owner) for owner in ("a", "b"))
    lock, other = (factory.new_factory(conf.read(), what="")(each.lock_name) for each in (row, dead))
    other.acquire()
    other.release()
    lock.acquire()
    try:
        prune("--keep", "0")
    finally:
        lock.release()
    assert list(Run.objects.all()) == [row]
    assert not StepRun.objects.filter(run=dead).exists()


def test_a_run_with_an_invisible_lock_is_kept_and_not_dead(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    row = made("a.yml", days=100, status=RUNNING)
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    settings.RUNBOOK = {"LOCK": {"BACKEND": "file", "OPTIONS": {"directory": str(tmp_path / "elsewhere")}}}
    for keep in ("100", "0"):
        prune("--keep", keep, "--verbosity", "2")
        assert f"run {row.pk} is kept" in capsys.readouterr().err
    assert Run.objects.get() == row
    assert "running" in show()


def test_a_concurrently_resumed_run_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    resumed, dead, failed = (
        made("a.yml", days=100, status=status, owner=owner)
        for status, owner in ((RUNNING, "a"), (RUNNING, "b"), ("failed", "c"))
    )
    for row in (resumed, dead):
        lock = factory.new_factory(conf.read(), what="")(row.lock_name)
        lock.acquire()
        lock.release()
    delete = prune_runs.Command.process_batch

    def resume_first(command: prune_runs.Command, rows: QuerySet[Run]) -> int:
        for row in (resumed, failed):
            row.take_over("new", using="default", at=timezone.now(), host="here", pid=1, user="")
        return delete(command, rows)

    monkeypatch.setattr(prune_runs.Command, "process_batch", resume_first)
    assert prune("--keep", "0") == "1 done\n"
    assert set(Run.objects.all()) == {resumed, failed}
    assert StepRun.objects.count() == 2


def test_a_dry_run_deletes_nothing() -> None:
    made("a.yml", days=100)
    assert "would be done" in prune("--keep", "0", "--dry-run")
    assert Run.objects.count() == 1


def test_a_date_out_of_range_is_refused() -> None:
    with pytest.raises(CommandError, match="older-than"):
        prune("--older-than", "99999999d")
    with pytest.raises(CommandError, match='"90" has no unit'):
        prune("--older-than", "90")
    with pytest.raises(CommandError, match='"90" has no unit'):
        call_command("prune_runs", older_than=90)


def test_finished_checkpoints_are_pruned_with_their_runs() -> None:
    at = timezone.now()
    for name, days in (("old", 100), ("new", 1)):
        finished_at = at - datetime.timedelta(days=days)
        Checkpoint.objects.create(scope=name, command=name, owner="x", holder="x", finished_at=finished_at)
    Checkpoint.objects.create(scope="unfinished", command="x", owner="x", holder="x", started_at=at)
    prune("--older-than", "90d", "--dry-run")
    assert Checkpoint.objects.filter(scope="old").exists()
    prune("--older-than", "90d")
    assert set(Checkpoint.objects.exclude(command="prune_runs").values_list("scope", flat=True)) == {
        "new",
        "unfinished",
    }
