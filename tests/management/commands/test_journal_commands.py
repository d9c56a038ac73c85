from __future__ import annotations

import datetime
import io
import json
import os
import socket
import uuid
from pathlib import Path
from typing import Any

import pytest
from django.core import mail
from django.core.management import CommandError, call_command
from django.db.models import QuerySet
from django.utils import timezone
from pytest_django import Settings

from django_runbook import conf
from django_runbook.locks import factory
from django_runbook.management.commands import mail_run_report, prune_runs
from django_runbook.models import RUNNING, Checkpoint, FinishedKey, Run, StepRun
from tests.journal.support import die
from tests.runner.support import run

pytestmark = pytest.mark.django_db
FAILING = """\
name: Nightly
params: {day: monday}
steps:
  - {id: one, command: say hello}
  - {id: group, steps: [{id: two, command: fail --kind error}]}
  - {id: three, command: noop}
"""


@pytest.fixture(autouse=True)
def _journal(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.RUNBOOK = {**settings.RUNBOOK, "JOURNAL": True}
    monkeypatch.chdir(tmp_path)


def show(*words: str) -> str:
    out = io.StringIO()
    call_command("show_runs", *words, stdout=out)
    return out.getvalue()


def prune(*words: str) -> str:
    out = io.StringIO()
    call_command("prune_runs", *words, stdout=out)
    return out.getvalue()


def made(runbook: str, *, days: int, **columns: Any) -> Run:
    at = timezone.now() - datetime.timedelta(days=days)
    values = {
        "id": uuid.uuid4().hex,
        "status": "succeeded",
        "pid": 1,
        "host": "here",
        "owner": "x",
        "started_at": at,
        "now": at.isoformat(),
        "lock_backend": factory.new_factory(conf.read(), what="").identity,
    }
    row = Run.objects.create(runbook=runbook, name=runbook, **{**values, **columns})
    StepRun.objects.create(run=row, step_id="one", name="one", role="step", kind="command", status="succeeded")
    return row


# -- show_runs -------------------------------------------------------------------------------------------------------------


def test_runs_are_shown_newest_first(tmp_path: Path) -> None:
    assert show() == "no runs found\n"
    run(tmp_path, "steps: [noop]")
    run(tmp_path, FAILING)
    head, second, first = show().splitlines()
    assert head.split() == ["RUN", "RUNBOOK", "STATUS", "STARTED", "TOOK", "ATTEMPTS"]
    assert "failed" in second
    assert "succeeded" in first


def test_runs_of_one_runbook(tmp_path: Path) -> None:
    run(tmp_path, FAILING)
    made("weekly.yml", days=1)
    for name in ("weekly.yml", "weekly"):
        assert [row["runbook"] for row in json.loads(show(name, "--format", "json"))] == ["weekly.yml"]
    assert [row["name"] for row in json.loads(show("test.yml", "--format", "json"))] == ["Nightly"]
    assert [row["name"] for row in json.loads(show("Nightly", "--format", "json"))] == ["Nightly"]
    assert len(json.loads(show("--limit", "1", "--format", "json"))) == 1


@pytest.mark.parametrize("options", [{"limit": -1}, {"limit": 10**30}, {"run": ""}])
def test_an_invalid_option_value_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(CommandError) as caught:
        call_command("show_runs", **options)
    assert caught.value.returncode == 2


def test_a_run_is_shown_with_its_steps(tmp_path: Path) -> None:
    run(tmp_path, FAILING)
    text = show("--run", Run.objects.get().pk[:6])
    assert "param     day = monday" in text
    assert "  ✓ one (say): succeeded, " in text
    assert "    ✗ two (fail): failed, " in text
    assert ": nobody meant this\n" in text
    assert "- three (noop): not_run" in text


def test_a_dead_run_shows_its_step_as_interrupted_with_both_options(tmp_path: Path) -> None:
    run(tmp_path, FAILING)
    Run.objects.update(status=RUNNING, finished_at=None)
    StepRun.objects.filter(step_id="two").update(status=RUNNING, finished_at=None, message="")
    lock = factory.new_factory(conf.read(), what="")(Run.objects.get().lock_name)
    lock.acquire()
    lock.release()
    run_id = Run.objects.get().pk[:8]
    text = show("--run", run_id)
    assert "✗ two (fail): interrupted" in text
    assert f"resume with: python manage.py run_runbook {tmp_path / 'test.yml'} --resume {run_id}" in text
    assert 'step "fail" (two) was interrupted and its outcome is unknown: --rerun two runs it again, --skip two' in text


def test_the_output_of_a_step_is_shown(tmp_path: Path) -> None:
    run(tmp_path, FAILING)
    run_id = Run.objects.get().pk
    assert show("--run", run_id, "--step", "one").splitlines()[-1] == "hello"
    text = show("--run", run_id, "--step", "two")
    assert "about to fail" in text
    assert text.splitlines()[-1] == "ValueError: nobody meant this"
    assert json.loads(show("--run", run_id, "--step", "two", "--format", "json"))["error_type"] == "ValueError"


def test_numbers_that_json_lacks_are_strings(tmp_path: Path) -> None:
    run(tmp_path, """steps: [{id: odd, command: 'say "{\\"a\\": [NaN, -Infinity, 1.5]}"', capture: json}]""")
    words = ("--run", Run.objects.get().pk, "--step", "odd", "--format", "json")
    shown = json.loads(show(*words), parse_constant=pytest.fail)
    assert shown["output"] == [{"a": ["NaN", "-Infinity", 1.5]}]


def test_a_run_with_a_dead_process_is_interrupted(tmp_path: Path) -> None:
    run(tmp_path, FAILING)
    row = die("one")
    assert "interrupted" in show()
    lock = factory.new_factory(conf.read(), what="")(row.lock_name)
    lock.acquire()
    try:
        assert "running" in show()
    finally:
        lock.release()


def test_a_run_with_another_lock_backend_may_be_running(tmp_path: Path, settings: Settings) -> None:
    run(tmp_path, FAILING)
    die("one")
    folder = tmp_path / "elsewhere"
    settings.RUNBOOK = {**settings.RUNBOOK, "LOCK": {"BACKEND": "file", "OPTIONS": {"directory": str(folder)}}}
    # That there is a file for it, from an attempt of the run in earlier days, proves nothing.
    lock = factory.new_factory(conf.read(), what="")(Run.objects.get().lock_name)
    lock.acquire()
    lock.release()
    assert "running" in show()


def test_runs_are_filtered_by_their_displayed_status(tmp_path: Path) -> None:
    for status in ("succeeded", "refused", "failed"):
        made(f"{status}.yml", days=1, status=status)
        assert [line.split()[1] for line in show("--status", status).splitlines()[1:]] == [f"{status}.yml"]
    assert show("--status", "warning") == "no runs found\n"
    run(tmp_path, FAILING)
    row = die("one")
    assert row.pk[:8] in show("--status", "interrupted")
    assert show("--status", "running") == "no runs found\n"


@pytest.mark.parametrize("words", [("--run", "x"), ("--step", "one")], ids=["run", "step"])
def test_a_missing_run_or_step_is_reported(words: tuple[str, ...]) -> None:
    with pytest.raises(CommandError) as caught:
        show(*words)
    assert caught.value.returncode == 2


@pytest.mark.parametrize(
    "lock",
    [
        {"BACKEND": "redis", "OPTIONS": {"url": "redis://127.0.0.1:1/0"}},
        {"BACKEND": "file", "OPTIONS": {"directory": "/proc/none"}},
    ],
    ids=["no Redis", "no folder"],
)
def test_without_locks_a_run_has_its_stored_status(settings: Settings, lock: dict[str, Any]) -> None:
    row = made("a.yml", days=1, status=RUNNING)
    settings.RUNBOOK = {"LOCK": lock}
    assert "running" in show()
    assert "  status    running" in show("--run", row.pk)


@pytest.mark.parametrize("words", [("show_runs",), ("prune_runs", "--dry-run")], ids=["show_runs", "prune_runs"])
def test_an_invalid_setting_is_reported(settings: Settings, words: tuple[str, ...]) -> None:
    settings.RUNBOOK = {"LOCK": "nonsense"}
    with pytest.raises(CommandError, match="nonsense") as caught:
        call_command(*words)
    assert caught.value.returncode == 2


# -- prune_runs ------------------------------------------------------------------------------------------------------------


def test_old_runs_are_deleted_with_their_steps_and_the_newest_are_kept() -> None:
    old = [made("a.yml", days=100 + number) for number in range(3)]
    other = made("b.yml", days=400)
    new = made("a.yml", days=1)
    assert prune("--older-than", "90d", "--keep", "2") == "2 done\n"
    assert set(Run.objects.all()) == {new, old[0], other}
    assert set(StepRun.objects.values_list("run", flat=True)) == {new.pk, old[0].pk, other.pk}


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


# -- mail_run_report -------------------------------------------------------------------------------------------------------


def test_a_failed_run_is_reported_by_its_handler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "s3cret-token")
    text = (
        "secrets: [TOKEN]\n"
        + FAILING
        + "  - {id: say, command: 'say ${{ secrets.TOKEN }}'}\non_failure:\n  - mail_run_report --to ops@example.com --to dev@example.com\n"
    )
    made("other.yml", days=0, status=RUNNING, host="elsewhere", pid=2)
    assert run(tmp_path, text).exit_code == 1
    (message,) = mail.outbox
    assert message.to == ["ops@example.com", "dev@example.com"]
    assert message.subject == "[runbook] Nightly: two failed"
    assert "✗ two (fail): failed" in message.body
    assert "--- two failed\nabout to fail" in message.body
    assert "ValueError: nobody meant this" in message.body
    assert "- three (noop): not_run" in message.body
    assert "resume with: python manage.py run_runbook " in message.body
    # The frames of libraries, and ours, are not what a person looks for in a mail.
    assert "Traceback" not in message.body
    assert "site-packages" not in message.body
    assert "s3cret" not in message.body


def test_a_report_of_very_many_steps_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mail_run_report, "_MAX_STEPS", 10)
    monkeypatch.setattr(mail_run_report, "_MAX_FAILURES", 3)
    row = made("a.yml", days=1, status="failed")
    StepRun.objects.bulk_create(
        StepRun(run=row, step_id=f"s{number}", role="step", kind="command", status="failed", output_head="broken")
        for number in range(30)
    )
    call_command("mail_run_report", "--to", "ops@example.com", stdout=io.StringIO())
    (message,) = mail.outbox
    assert message.subject == "[runbook] a.yml: s0 failed (and 29 more)"
    assert f"… and 21 more: show_runs --run {row.pk} shows them" in message.body
    assert message.body.count("broken") == 3
    assert "--- and 27 more" in message.body


def test_a_run_that_is_not_recorded_is_not_reported_as_another_one(tmp_path: Path) -> None:
    made("other.yml", days=0, status=RUNNING, host=socket.gethostname(), pid=os.getpid())
    failed = run(tmp_path, "steps: [mail_run_report --to ops@example.com]", no_journal=True)
    assert "this run is not recorded" in failed.result("mail_run_report")["failure"]["message"]
    assert mail.outbox == []


def test_each_of_two_runs_on_a_host_reports_itself(tmp_path: Path) -> None:
    made("other.yml", days=-1, status=RUNNING, host=socket.gethostname(), pid=os.getpid())
    run(tmp_path, "steps: [mail_run_report --to ops@example.com]")
    assert mail.outbox[0].subject == "[runbook] test: running"


@pytest.mark.parametrize("asked", ["", "abc", "x"], ids=["empty", "of several", "of none"])
def test_a_report_of_an_ambiguous_or_unknown_run_is_refused(asked: str) -> None:
    for run_id in ("abc1", "abc2"):
        made("a.yml", days=1, id=run_id)
    with pytest.raises(CommandError, match="run") as caught:
        call_command("mail_run_report", "--to", "ops@example.com", "--run", asked)
    assert caught.value.returncode == 2
    assert mail.outbox == []


@pytest.mark.parametrize("address", ["", "non sense", "@", "a@", "a\nb@example.com", "a@b\udcff.example", "Ops <root>"])
def test_an_invalid_address_is_refused(address: str) -> None:
    for options in (("--to", address), ("--to", "ops@example.com", "--from", address)):
        with pytest.raises(CommandError, match="is not a valid email address"):
            call_command("mail_run_report", *options)


@pytest.mark.parametrize(
    "address", ["ops@example.com", "Ops <ops@example.com>", "root@localhost", "ops@mail-1", "root"]
)
def test_valid_addresses_are_accepted(address: str) -> None:
    made("a.yml", days=1)
    call_command("mail_run_report", "--to", address, stdout=io.StringIO())
    assert mail.outbox[0].to == [address]


def test_a_mail_that_cannot_be_sent_is_reported_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(message: object) -> None:
        raise ConnectionRefusedError("connection refused")

    made("a.yml", days=1)
    monkeypatch.setattr(mail.EmailMessage, "send", refuse)
    with pytest.raises(CommandError, match=r"could not mail the report of a.yml to ops@.*: connection refused"):
        call_command("mail_run_report", "--to", "ops@example.com")


def test_characters_unfit_for_terminals_and_mails_are_escaped(tmp_path: Path) -> None:
    run(tmp_path, "params: {word: x}\nsteps: [fail]\n", param=["word=\udcff\x1b[31m\nred"])
    assert "  param     word = \\udcff red\n" in show("--run", Run.objects.get().pk)
    call_command("mail_run_report", "--to", "ops@example.com", stdout=io.StringIO())
    assert b"param" in mail.outbox[0].message().as_bytes()


def test_outside_a_run_the_newest_run_is_reported(tmp_path: Path) -> None:
    run(tmp_path, "steps: [noop]")
    call_command("mail_run_report", "--to", "ops@example.com", stdout=io.StringIO())
    assert mail.outbox[0].subject == "[runbook] test: succeeded"


def test_a_report_contains_the_resume_command_only_if_the_run_can_be_resumed(tmp_path: Path) -> None:
    run(tmp_path, "steps: [{command: fail, continue_on_error: true}]")
    call_command("mail_run_report", "--to", "ops@example.com", stdout=io.StringIO())
    assert mail.outbox[0].subject == "[runbook] test: fail failed"
    assert "--resume" not in mail.outbox[0].body


def test_a_report_without_a_run_is_an_error() -> None:
    with pytest.raises(CommandError, match="there is no run"):
        call_command("mail_run_report", "--to", "ops@example.com")


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
