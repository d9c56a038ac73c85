"""Stored runs in, a mail out."""

from __future__ import annotations

import io
import os
import socket
from pathlib import Path
from typing import Any

import pytest
from django.core import mail
from django.core.management import CommandError, call_command

from django_runbook import conf
from django_runbook.locks import factory
from django_runbook.management.commands import mail_run_report
from django_runbook.models import RUNNING, Run, StepRun
from tests.management.commands.stored_runs import FAILING, made, show
from tests.runner.support import run

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("history")]


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
    assert "- three (noop): not run" in message.body
    assert "resume with: python manage.py run_runbook " in message.body
    # The frames of libraries, and ours, are not what a person looks for in a mail.
    assert "Traceback" not in message.body
    assert "site-packages" not in message.body
    assert "s3cret" not in message.body


BAD = "command: fail --kind error"
RUNS = {
    "nothing failed": ("steps: [noop]", "succeeded", []),
    "an ignored failure": (
        f"steps: [{{id: a, {BAD}, continue_on_error: true}}]",
        "warning, a failed but ignored",
        ["a failed but ignored"],
    ),
    "an ignored failure before another": (
        f"steps: [{{id: a, {BAD}, continue_on_error: true}}, {{id: b, {BAD}}}]",
        "b failed",
        ["b failed", "a failed but ignored"],
    ),
    "a step of an ignored group": (
        f"steps: [{{id: g, continue_on_error: true, steps: [{{id: a, {BAD}}}]}}, {{id: b, {BAD}}}]",
        "b failed",
        ["b failed", "a failed but ignored"],
    ),
    "an ignored step of a failed group": (
        f"steps: [{{id: g, steps: [{{id: a, {BAD}, continue_on_error: true}}, {{id: b, {BAD}}}]}}]",
        "b failed",
        ["b failed", "a failed but ignored"],
    ),
    "two failures": (
        f"fail_fast: false\nsteps: [{{id: a, {BAD}}}, {{id: b, {BAD}}}]",
        "a failed (and 1 more)",
        ["a failed", "b failed"],
    ),
    "items of a loop": (
        "steps: [{id: a, for_each: [error, exit], command: 'fail --kind ${{ item }}'}]",
        "a[1] failed",
        ["a[1] failed"],
    ),
    "ignored items of a loop": (
        "steps: [{id: a, for_each: [error, exit], command: 'fail --kind ${{ item }}', continue_on_error: true}]",
        "warning, a[1] failed but ignored (and 1 more)",
        ["a[1] failed but ignored", "a[2] failed but ignored"],
    ),
    "a loop whose items are unknown": (
        "steps: [{id: o, command: say 1, capture: text}, {id: a, for_each: '${{ steps.o.output[5:][0] }}', command: noop}]",
        "a failed",
        ["a failed"],
    ),
    "a handler": (
        f"steps: [{{id: a, {BAD}}}]\non_failure: [{{id: b, {BAD}}}]",
        "a failed",
        ["a failed", "b failed"],
    ),
    "a handler of a group before the failure of the run": (
        f"steps: [{{id: g, steps: [noop], finally: [{{id: a, {BAD}}}]}}, {{id: b, {BAD}}}]",
        "b failed",
        ["b failed", "a failed"],
    ),
    "a step of finally alone": (
        f"steps: [noop]\nfinally: [{{id: a, {BAD}}}]",
        "warning, a failed",
        ["a failed"],
    ),
}


@pytest.mark.parametrize(("text", "subject", "sections"), RUNS.values(), ids=list(RUNS))
def test_a_report_begins_with_what_failed_the_run(tmp_path: Path, text: str, subject: str, sections: list[str]) -> None:
    run(tmp_path, text)
    call_command("mail_run_report", "--to", "ops@example.com", stdout=io.StringIO())
    assert mail.outbox[0].subject == f"[runbook] test: {subject}"
    assert [line[4:] for line in mail.outbox[0].body.splitlines() if line.startswith("--- ")] == sections


STORED = {
    "refused": ({"status": "refused", "exit_code": 75, "reason": "the lock is held"}, {}, "refused"),
    "failed without a failed step": ({"status": "failed", "exit_code": 1, "reason": "the lock was lost"}, {}, "failed"),
    "interrupted between two steps": ({"status": "interrupted", "exit_code": 143}, {}, "interrupted"),
    "interrupted": (
        {"status": "interrupted", "exit_code": 143},
        {"status": "interrupted"},
        "two interrupted",
    ),
    "timed out": ({"status": "failed", "exit_code": 124}, {"status": "timed_out"}, "two timed out"),
    "timed out together with a step that may": (
        {"status": "failed", "exit_code": 124},
        {"status": "timed_out", "ignored": True},
        "timed out, two timed out but ignored",
    ),
    "timed out between two steps": ({"status": "failed", "exit_code": 124}, {}, "timed out"),
    "a group whose lock was held": (
        {"status": "failed", "exit_code": 1},
        {"status": "failed", "kind": "group"},
        "two failed",
    ),
    "a dead process": ({"status": RUNNING}, {"status": RUNNING}, "interrupted"),
}


@pytest.mark.parametrize(("run_columns", "step_columns", "subject"), STORED.values(), ids=list(STORED))
def test_a_report_of_a_run_that_did_not_reach_its_end(
    run_columns: dict[str, Any], step_columns: dict[str, Any], subject: str
) -> None:
    row = made("a.yml", days=1, **run_columns)
    lock = factory.new_factory(conf.read(), what="")(row.lock_name)
    lock.acquire()
    lock.release()
    if step_columns:
        StepRun.objects.create(run=row, **{"step_id": "two", "role": "step", "kind": "command", **step_columns})
    call_command("mail_run_report", "--to", "ops@example.com", stdout=io.StringIO())
    assert mail.outbox[0].subject == f"[runbook] a.yml: {subject}"
    assert ("--resume" in mail.outbox[0].body) is (row.status != "refused")


@pytest.mark.parametrize(
    ("policy", "subject"), [("", "b failed"), (", continue_on_error: true", "running, b failed but ignored")]
)
def test_a_report_during_the_run_names_the_failures_so_far(tmp_path: Path, policy: str, subject: str) -> None:
    run(
        tmp_path,
        f"steps: [{{id: b, {BAD}{policy}}}]\nfinally: [mail_run_report --to ops@example.com]",
    )
    assert mail.outbox[0].subject == f"[runbook] test: {subject}"


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
    assert mail.outbox[0].subject == "[runbook] test: running, no failure so far"


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
    assert mail.outbox[0].subject == "[runbook] test: warning, fail failed but ignored"
    assert "--resume" not in mail.outbox[0].body


def test_a_report_without_a_run_is_an_error() -> None:
    with pytest.raises(CommandError, match="no run to report"):
        call_command("mail_run_report", "--to", "ops@example.com")
