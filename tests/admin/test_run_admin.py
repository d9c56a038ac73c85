from __future__ import annotations

import datetime
import re

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings

from django_runbook.admin import project_locks
from django_runbook.exceptions import InvalidUsage
from django_runbook.locks.base import Probe
from django_runbook.models import RUNNING, Run, StepRun
from tests import journal_data
from tests.admin.support import (
    LIST,
    html,
    live_of,
    real_new_lock,
    statuses_of,
    url_of,
    use,
)

pytestmark = pytest.mark.django_db


def test_the_list_shows_runs_newest_first(client: Client) -> None:
    journal_data.new_run(name="Old")
    later = journal_data.BEGIN + datetime.timedelta(days=1)
    journal_data.new_run(
        name="New", started_at=later, finished_at=later + datetime.timedelta(seconds=185), status="failed", exit_code=3
    )
    page = html(client, LIST)
    assert page.index("New") < page.index("Old")
    assert statuses_of(page) == ["failed", "succeeded"]
    assert "exit code 3" in page
    assert "3m05s" in page
    assert "2026-03-03 04:30:00" in page


def test_a_run_with_another_lock_backend_is_not_checked_and_not_dead(client: Client, free_locks: set[str]) -> None:
    run = journal_data.running_run(lock_backend="the locks of another release")
    free_locks.add(run.pk)
    assert statuses_of(html(client, LIST)) == ["running"]
    assert "It is unknown whether the process" in html(client, url_of(run))
    assert run.pk not in html(client, f"{LIST}?status=interrupted")


def test_a_refused_run_has_a_status_and_a_filter_of_its_own(client: Client) -> None:
    refused = journal_data.new_run(status="refused", exit_code=75, reason='the lock "nightly" is held by process 7')
    failed = journal_data.new_run(status="failed", exit_code=1)
    assert sorted(statuses_of(html(client, LIST))) == ["failed", "refused"]
    page = html(client, f"{LIST}?status=refused")
    assert (refused.pk in page, failed.pk in page) == (True, False)
    assert "?status=refused" in page
    page = html(client, url_of(refused))
    assert "the lock &quot;nightly&quot; is held by process 7" in page
    assert "--resume" not in page
    assert 'id="rb-i-refused"' in page


def test_the_duration_in_the_list_is_of_the_last_attempt(client: Client) -> None:
    journal_data.resumed_run()
    assert '<td class="field-duration">30s</td>' in html(client, LIST)


def test_a_dead_run_is_shown_and_found_as_interrupted(client: Client, free_locks: set[str]) -> None:
    dead, alive = journal_data.running_run(), journal_data.running_run()
    free_locks.add(dead.pk)
    assert sorted(statuses_of(html(client, LIST))) == ["interrupted", "running"]
    assert dead.pk in html(client, f"{LIST}?status=interrupted")
    assert alive.pk not in html(client, f"{LIST}?status=interrupted")
    assert alive.pk in html(client, f"{LIST}?status=running")
    assert dead.pk not in html(client, f"{LIST}?status=running")


def test_a_run_that_ends_during_the_check_is_shown_with_its_final_status(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = journal_data.running_run()

    def end(name: str) -> Probe:
        Run.objects.filter(pk=run.pk).update(status="succeeded", exit_code=0, finished_at=timezone.now())
        return Probe.FREE

    use(monkeypatch, end)
    for page in (LIST, url_of(run), live_of(run)):
        Run.objects.filter(pk=run.pk).update(status=RUNNING, exit_code=None, finished_at=None)
        shown = html(client, page)
        assert "rb-badge rb-succeeded" in shown
        assert "rb-badge rb-interrupted" not in shown


def test_dead_runs_take_one_more_query_however_many_they_are(
    client: Client, free_locks: set[str], django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    free_locks.update(journal_data.running_run().pk for _ in range(9))
    with django_assert_max_num_queries(9):
        assert statuses_of(html(client, LIST)) == ["interrupted"] * 9


def test_only_running_runs_have_their_locks_checked(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def probe(name: str) -> Probe:
        asked.append(name)
        return Probe.HELD

    use(monkeypatch, probe)
    journal_data.new_run()
    running = journal_data.running_run()
    html(client, LIST)
    assert set(asked) == {running.lock_name}


def test_unavailable_locks_leave_the_status_unchanged(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str) -> Probe:
        raise InvalidUsage("no folder for locks")

    use(monkeypatch, refuse)
    run = journal_data.running_run()
    assert statuses_of(html(client, LIST)) == ["running"]
    assert "It is unknown whether the process" in html(client, url_of(run))


@pytest.mark.parametrize("setting", [{}, {"LOCK": "no such backend"}], ids=["right", "wrong"])
def test_the_locks_of_the_settings_are_checked(
    client: Client, settings: Settings, monkeypatch: pytest.MonkeyPatch, setting: dict[str, object]
) -> None:
    monkeypatch.setattr(project_locks, "new_lock", real_new_lock)
    identity = real_new_lock().identity
    settings.RUNBOOK = {**settings.RUNBOOK, **setting}
    journal_data.running_run(lock_backend=identity)
    # No process on this host has ever held its lock.
    assert statuses_of(html(client, LIST)) == ["running"]


@pytest.mark.parametrize("status", ["succeeded", "failed", "warning"])
def test_the_list_is_filtered_by_status(client: Client, status: str) -> None:
    for one in ("succeeded", "failed", "warning"):
        journal_data.new_run(status=one)
    assert set(statuses_of(html(client, f"{LIST}?status={status}"))) == {status}


@pytest.mark.parametrize("term", ["abc123", "invoices.yml", "Invoices"])
def test_runs_are_found_by_id_prefix_runbook_and_name(client: Client, term: str) -> None:
    found = journal_data.new_run(id="abc123" + "0" * 26, runbook="invoices.yml", name="Invoices")
    other = journal_data.new_run()
    page = html(client, f"{LIST}?q={term}")
    assert found.pk in page
    assert other.pk not in page


def test_the_list_takes_as_many_queries_for_many_runs_as_for_few(
    client: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for _ in range(60):
        journal_data.new_run()
    journal_data.running_run()
    # Session, user, two for permissions; the count, the page of runs, and the runbooks of the filter.
    with django_assert_max_num_queries(8) as queries:
        html(client, LIST)
    counted = [query for query in queries.captured_queries if "COUNT(*)" in query["sql"]]
    assert len(counted) == 1


def test_the_order_of_the_list_has_an_index(client: Client) -> None:
    for _ in range(60):
        journal_data.new_run()
    with CaptureQueriesContext(connection) as queries:
        html(client, LIST)
    page = next(query["sql"] for query in queries if '"started_at" DESC' in query["sql"] and "LIMIT" in query["sql"])
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN QUERY PLAN {page}")
        plan = " ".join(str(line[3]) for line in cursor.fetchall())
    assert "runbook_run_started" in plan


def test_the_live_view_returns_only_rows_that_may_have_changed(client: Client) -> None:
    long_ago = timezone.now() - datetime.timedelta(minutes=5)
    run = journal_data.running_run(started_at=long_ago)
    rows = journal_data.Writer(run, attempts={"migrate": 1, "backfill": 1})
    rows.step("later", 200, 201, line=100)
    since = re.search(r'data-since="([^"]+)"', html(client, url_of(run)))
    assert since
    answer = client.get(live_of(run), {"since": since[1]}).json()
    names = [re.search("<bdi>(.*?)</bdi>", row["html"]) for row in answer["rows"]]
    # The running steps and the one that just ended; not `migrate`.
    assert [name and name[1] for name in names] == ["Load data", "Backfill delay classes", "later"]
    assert answer["is_finished"] is False
    assert answer["counts"] == "2 succeeded, 1 running"


def test_a_new_step_comes_with_the_key_of_the_row_before_it(client: Client) -> None:
    run = journal_data.running_run()
    since = client.get(live_of(run)).json()["cursor"]
    StepRun.objects.filter(run=run, step_id="backfill").update(status="succeeded", finished_at=timezone.now())
    new = journal_data.Writer(run).step("report", 21, None, status=RUNNING, line=100)
    answer = client.get(live_of(run), {"since": since}).json()
    last = answer["rows"][-1]
    assert last["key"] == new.pk
    assert last["after"] == StepRun.objects.get(run=run, step_id="backfill").pk
    assert "succeeded" in answer["rows"][-2]["html"]


def test_a_step_that_is_stored_late_is_returned(client: Client) -> None:
    run = journal_data.running_run(started_at=timezone.now() - datetime.timedelta(minutes=5))
    journal_data.Writer(run).step("recent", 290, 295)
    since = client.get(live_of(run)).json()["cursor"]
    skipped = journal_data.Writer(run).step("skipped", None, 6, status="skipped", exit_code=None)
    assert skipped.pk in [row["key"] for row in client.get(live_of(run), {"since": since}).json()["rows"]]


@pytest.mark.parametrize("since", ["", "nonsense", "1-2", "1-x-2", "9-1-1.0"])
def test_a_page_without_a_cursor_gets_all_rows(client: Client, since: str) -> None:
    run = journal_data.running_run()
    assert len(client.get(live_of(run), {"since": since}).json()["rows"]) == 3


def test_the_last_response_has_all_rows_and_ends_the_polling(client: Client) -> None:
    run = journal_data.failed_run()
    answer = client.get(live_of(run), {"since": "1-999999999-9999999999.0"}).json()
    assert answer["is_finished"] is True
    assert len(answer["rows"]) == StepRun.objects.filter(run=run).values("step_id").distinct().count()
