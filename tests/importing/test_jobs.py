from __future__ import annotations

import re

import pytest

from django_runbook.importing.draft import Imported, RunbookDraft
from django_runbook.importing.emit import emit
from django_runbook.importing.jobs import import_crontab
from django_runbook.importing.problems import CannotImport


def imported(text: str) -> Imported:
    return import_crontab(text, name="some.cron")


def only(text: str) -> RunbookDraft:
    (draft,) = imported(text).drafts
    return draft


@pytest.mark.parametrize(
    ("lines", "schedule"),
    [
        ("15 2 * * * ./manage.py a", {"cron": "15 2 * * *"}),
        ("@weekly ./manage.py a", {"cron": "0 0 * * 0"}),
        ("CRON_TZ=Europe/Berlin\n@hourly ./manage.py a", {"cron": "0 * * * *", "timezone": "Europe/Berlin"}),
        ("TZ=UTC\nCRON_TZ=Asia/Tokyo\n0 0 1 1 * ./manage.py a", {"cron": "0 0 1 1 *", "timezone": "Asia/Tokyo"}),
        ("TZ=UTC\n0 0 1 1 * ./manage.py a", {"cron": "0 0 1 1 *", "timezone": "UTC"}),
    ],
)
def test_the_times_of_a_job_are_its_schedule(lines: str, schedule: dict[str, str]) -> None:
    assert only(lines).schedule == schedule


@pytest.mark.parametrize(
    ("times", "reason"),
    [
        ("@reboot", "a schedule has no @reboot"),
        ("99 * * * *", 'the minute "99" is not valid'),
        ("0~9 0 * * *", "the minute"),
    ],
)
def test_times_without_a_counterpart_are_left_to_the_reader(times: str, reason: str) -> None:
    draft = only(f"{times} ./manage.py a")
    assert draft.schedule is None
    assert [note.text.startswith(reason) for note in draft.notes if note.is_open] == [True]


def test_each_job_is_a_file_of_its_own() -> None:
    text = "@daily ./manage.py a\n@daily ./manage.py a --x\n@daily ./manage.py B\n@daily ./manage.py b\n"
    assert [draft.stem for draft in imported(text).drafts] == ["a", "a-2", "B", "b-2"]


def test_a_job_without_a_management_command_is_left_in_the_table() -> None:
    found = imported("@daily ./manage.py a\n\n# Backup\n@daily pg_dump x\n")
    assert len(found.drafts) == 1
    assert [(note.line, note.source) for note in found.leftovers] == [(3, ""), (4, "@daily pg_dump x")]


def test_two_jobs_with_one_lock_exclude_each_other() -> None:
    text = "@daily flock -n /tmp/x.lock ./manage.py a\n@hourly flock /var/x.lock ./manage.py b\n@hourly flock /tmp/x.lock ./manage.py c\n"
    assert [(draft.lock or {})["name"] for draft in imported(text).drafts] == ["x", "/var/x.lock", "x"]


@pytest.mark.parametrize(
    ("job", "steps"),
    [
        ("./manage.py a%one%two", "steps:\n  - command: a\n    stdin: |\n      one\n      two\n"),
        ("./manage.py a $REGION", "env: [{name: REGION, default: eu}]\nsteps:\n  - a ${{ env.REGION }}\n"),
        ("$PY manage.py a", "steps:\n  - a\n"),
        ("./manage.py a $DB_PASSWORD", "secrets: [DB_PASSWORD]\nsteps:\n  - a ${{ secrets.DB_PASSWORD }}\n"),
        ("(./manage.py a; ./manage.py b) || true", "fail_fast: false\nsteps:\n"),
    ],
)
def test_the_command_of_a_job_becomes_steps(job: str, steps: str) -> None:
    head = "PY=/srv/bin/python\nREGION=eu\nDB_PASSWORD=hunter22\n"
    text = emit(only(f"{head}0 0 * * * {job}\n"))
    assert "hunter22" not in text
    keys = re.sub(r"^ *#.*\n|^schedule: .*\n", "", text, flags=re.MULTILINE)
    assert keys == steps or (job.startswith("(") and "continue_on_error: true" in keys)


def test_the_surroundings_of_a_job_are_named() -> None:
    text = emit(only("MAILTO=ops@example.com\n0 0 * * * root ./manage.py a\n"))
    assert "it runs as root: start the run as this user" in text
    assert "MAILTO=ops@example.com" in text


def test_a_table_without_management_commands_is_refused() -> None:
    with pytest.raises(CannotImport, match="none of its 1 jobs calls a management command; line 1: not a management"):
        imported("@daily pg_dump x\n")
