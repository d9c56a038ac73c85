from __future__ import annotations

import datetime
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings

import django_runbook
from django_runbook.admin import project_locks
from django_runbook.exceptions import InvalidUsage
from django_runbook.locks.base import Probe
from django_runbook.models import RUNNING, Checkpoint, FailedRow, FinishedKey, Run, StepRun
from tests import journal_data
from tests.nasty import hidden_in
from tests.runner.support import run as run_runbook
from tests.testapp.management.commands import count_rows
from tests.testapp.models import Row

pytestmark = pytest.mark.django_db

LIST = "/admin/django_runbook/run/"
OURS = (Run, StepRun, Checkpoint, FailedRow, FinishedKey)


class FakeLocks:
    """The locks of the runs of these tests; ``probe`` returns whether a lock is held."""

    identity = journal_data.LOCKS

    def __init__(self, probe: Callable[[str], Probe]) -> None:
        self._probe = probe

    def __call__(self, name: str) -> FakeLock:
        return FakeLock(name, self._probe)


class FakeLock:
    """A lock that can only be probed."""

    def __init__(self, name: str, probe: Callable[[str], Probe]) -> None:
        self.name = name
        self._probe = probe

    def probe(self) -> Probe:
        return self._probe(self.name)


real_new_lock = project_locks.new_lock


@pytest.fixture(autouse=True)
def free_locks(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The IDs of the runs whose process is dead; all others are alive."""
    free = set[str]()
    use(monkeypatch, lambda name: Probe.FREE if name.split()[1] in free else Probe.HELD)
    return free


def use(monkeypatch: pytest.MonkeyPatch, probe: Callable[[str], Probe]) -> None:
    """Make the admin check these locks."""
    monkeypatch.setattr(project_locks, "new_lock", lambda: FakeLocks(probe))


def client_of(*models: type[Any], is_staff: bool = True) -> Client:
    """A client of a user who may view only these models."""
    user = User.objects.create_user(f"person-{User.objects.count()}", is_staff=is_staff)
    codes = [f"view_{model._meta.model_name}" for model in models]
    user.user_permissions.set(Permission.objects.filter(codename__in=codes))
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def client() -> Client:
    return client_of(*OURS)


def url_of(run: Run) -> str:
    return reverse("admin:django_runbook_run_change", args=(run.pk,))


def live_of(run: Run) -> str:
    return reverse("admin:django_runbook_run_live", args=(run.pk,))


def step_url(run: Run, step_id: str, attempt: int = 1) -> str:
    step = StepRun.objects.get(run=run, step_id=step_id, attempt=attempt)
    return reverse("admin:django_runbook_steprun_change", args=(step.pk,))


def html(client: Client, url: str) -> str:
    response = client.get(url)
    assert response.status_code == 200
    text: str = response.content.decode()
    return text


def row_of(page: str, step_id: str) -> str:
    """The row of a step whose name is its ID."""
    rows: list[str] = re.findall(r"<tr id=.*?</tr>", page)
    return next(row for row in rows if f"<bdi>{step_id}</bdi>" in row)


def statuses_of(page: str) -> list[str]:
    found: list[str] = re.findall(r"</svg>([a-z ]+)</span>", page)
    return found


# -- the list -------------------------------------------------------------------------------------------------------------


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


# -- the page of a run ----------------------------------------------------------------------------------------------------


def test_the_page_of_a_failed_run_shows_the_failures_and_how_to_resume(client: Client) -> None:
    run = journal_data.failed_run()
    page = html(client, url_of(run))
    assert f"python manage.py run_runbook nightly.yml --resume {run.pk[:8]}" in page
    assert "10 succeeded, 1 failed, 1 failed but ignored, 1 skipped, 2 not run" in page
    assert "TransportError: 429 Too Many Requests: the cluster is at its limit" in page
    assert "deploy@ops-1" in page
    assert run.git_commit[:12] in page
    assert (
        page.index("<bdi>migrate</bdi>") < page.index("<bdi>Search</bdi>") < page.index("<bdi>notify_operations</bdi>")
    )


def test_ignored_failures_are_warnings_of_their_groups_and_link_to_their_pages(client: Client) -> None:
    run = journal_data.new_run(status="warning")
    rows = journal_data.Writer(run)
    rows.group("search", 1, 30)
    rows.group("loop", 1, 20, kind="loop", group_ids=["search"])
    for number in (1, 2, 3):
        columns = {"status": "failed", "ignored": True, "message": f"no {number}", "error_type": "CommandError"}
        rows.step(f"loop[{number}]", number, number + 1, group_ids=["search", "loop"], **columns)
    rows.group("other", 30, 31)
    page = html(client, url_of(run))
    assert [row_of(page, name).count("rb-badge rb-warning") for name in ("search", "loop", "other")] == [1, 1, 0]
    summary = page[: page.index('<table class="rb-timeline"')]
    links = [step_url(run, f"loop[{number}]") for number in (1, 2, 3)]
    assert [link in summary for link in links] == [True] * 3
    assert "rb-ignored-only" in summary


def test_times_include_their_zone(client: Client, settings: Settings) -> None:
    settings.TIME_ZONE = "America/New_York"
    run = journal_data.resumed_run()
    Checkpoint.objects.create(scope="s", command="c", owner="o", holder="h", updated_at=journal_data.BEGIN)
    begin = "2026-03-01 23:30:00 EST"
    assert begin in html(client, LIST)
    assert html(client, url_of(run)).count(" EST</time>") == 2
    step = StepRun.objects.filter(run=run, started_at__isnull=False)[0]
    assert " EST</time>" in html(client, step_url(run, step.step_id, step.attempt))
    assert begin in html(client, "/admin/django_runbook/checkpoint/")


@pytest.mark.parametrize("kind", ["run", "step"])
def test_pages_have_their_heading_in_their_content(client: Client, kind: str) -> None:
    """Themes draw Django's title in another place, or not at all."""
    run = journal_data.failed_run()
    page = html(client, url_of(run) if kind == "run" else step_url(run, "migrate"))
    assert page.count("<h1") - page.count('<h1 id="site-name">') == 1
    source = Path(django_runbook.__file__).parent.joinpath("templates", "django_runbook", f"{kind}.html").read_text()
    content = source[source.index("{% block content %}") :]
    assert '<h1 class="rb-heading">' in content


def test_a_long_text_is_truncated_to_its_column(client: Client) -> None:
    Checkpoint.objects.create(scope="s", command="c", owner="o", holder="h", description="x" * 1000)
    FailedRow.objects.create(scope="s", command="c", key_digest="k", key="1", name="x" * 1000, error="x" * 1000)
    for name in ("checkpoint", "failedrow"):
        page = html(client, f"/admin/django_runbook/{name}/")
        assert "x" * 119 + "…" in page
        assert "x" * 120 not in page


def test_a_step_with_two_attempts_has_two_bars_to_scale(client: Client) -> None:
    row = row_of(html(client, url_of(journal_data.failed_run())), "Import LGA")
    bars = re.findall(r'rb-bar rb-(\w+)" x="([\d.]+)%" width="([\d.]+)%"', row)
    assert [status for status, _, _ in bars] == ["failed", "succeeded"]
    # The run took 122 s; the first attempt began at 17.6 s and took 6 s.
    assert [float(number) for number in bars[0][1:]] == pytest.approx([14.43, 4.92], abs=0.01)
    assert "2 attempts" in row


def test_rows_are_below_their_loop_or_group(client: Client) -> None:
    page = html(client, url_of(journal_data.failed_run()))
    depths = {name: re.search(r"rb-d(\d)", row_of(page, name)) for name in ("migrate", "Load data", "Import JFK")}
    assert [match and match[1] for match in depths.values()] == ["0", "0", "2"]
    assert "in <bdi>Import each airport</bdi>" in row_of(page, "Import JFK")


def test_the_pause_before_a_resume_is_omitted_from_the_axis(client: Client) -> None:
    run = journal_data.resumed_run()
    page = html(client, url_of(run))
    assert "resumed after 2d00h" in page
    assert "--resume" not in page
    # 30 s in the first attempt, 30 s in the second.
    assert re.findall(r'x="([\d.]+)%" width="([\d.]+)%"', row_of(page, "migrate")) == [("0.00", "16.67")]
    assert 'data-begin="30.100" data-end="55.000"' in row_of(page, "import")


def test_a_dead_run_is_shown_as_interrupted_with_its_steps_and_can_be_resumed(
    client: Client, free_locks: set[str]
) -> None:
    run = journal_data.running_run()
    free_locks.add(run.pk)
    page = html(client, url_of(run))
    assert "died without recording a result" in page
    assert f"--resume {run.pk[:8]}" in page
    assert set(statuses_of(page)) == {"interrupted", "succeeded"}
    assert "run.js" not in page


def test_a_running_batch_step_shows_its_progress(client: Client) -> None:
    page = html(client, url_of(journal_data.running_run()))
    row = row_of(page, "Backfill delay classes")
    assert "5,000 of 20,000 (25%)" in row
    assert re.search(r"\d+/s, \d+(\.\d)?s left", row)
    assert "run.js" in page
    assert "1 succeeded, 1 running, 2 remaining" in page


def test_the_work_before_a_resume_does_not_count_for_the_rate(client: Client) -> None:
    run = journal_data.new_run(status=RUNNING, attempt_count=2, resumed_at=timezone.now())
    rows = journal_data.Writer(run)
    rows.step("backfill", 0, 10, status="interrupted", done_count=9_000, total_count=10_000)
    rows.step("backfill", None, None, status=RUNNING, run_attempt=2, done_count=9_000, total_count=10_000)
    StepRun.objects.filter(attempt=2).update(started_at=timezone.now() - datetime.timedelta(seconds=5))
    row = row_of(html(client, url_of(run)), "backfill")
    assert "9,000 of 10,000" in row
    assert not re.search(r"\d/s", row)


def test_failed_rows_are_linked_from_their_step(client: Client) -> None:
    run = journal_data.failed_run()
    row = row_of(html(client, url_of(run)), "backfill_delay_class")
    link = re.search(r'href="([^"]+)">3 failed rows<', row)
    assert link
    page = html(client, link[1])
    assert "flight 2" in page
    assert "ValueError: no departure" in page


def test_a_thousand_steps_take_few_queries_and_no_output(
    client: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    run = journal_data.wide_run(1000)
    with django_assert_max_num_queries(9) as queries:
        page = html(client, url_of(run))
    assert len(page) < 1_000_000
    assert page.count("<tr id=") == 1000
    assert not any(name in query["sql"] for query in queries.captured_queries for name in ("output_head", "traceback"))


def test_too_many_attempts_omit_successful_ones(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("django_runbook.pages.attempt_rows.MAX_ATTEMPTS", 50)
    run = journal_data.wide_run(60, status="failed")
    journal_data.Writer(run).step("bad", 60, 61, status="failed")
    page = html(client, url_of(run))
    # Failed attempts are shown, and the first successful ones.
    assert "11 successful steps are omitted" in page
    assert "60 succeeded, 1 failed" in page
    assert re.findall(r"<bdi>Step (\d+)</bdi>", page) == [str(number) for number in range(49)]
    assert page.count("<tr id=") == 50


def test_a_step_that_succeeded_finally_is_not_shown_as_failed_on_a_full_page(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("django_runbook.pages.attempt_rows.MAX_ATTEMPTS", 50)
    run = journal_data.wide_run(60)
    rows = journal_data.Writer(run)
    rows.step("retried", 60, 61, status="failed")
    rows.step("retried", 62, 63)
    page = html(client, url_of(run))
    assert "61 succeeded" in page
    assert "failed" not in page[page.index("rb-steps") :]


def test_a_successful_step_disappears_from_a_full_page(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("django_runbook.pages.attempt_rows.MAX_ATTEMPTS", 50)
    run = journal_data.wide_run(60, status=RUNNING)
    step = journal_data.Writer(run).step("last", 60, None, status=RUNNING)
    answer = json.loads(html(client, live_of(run)))
    assert (len(answer["keys"]), step.pk in answer["keys"]) == (50, True)
    StepRun.objects.filter(pk=step.pk).update(status="succeeded", finished_at=timezone.now())
    answer = json.loads(html(client, live_of(run)))
    assert (len(answer["keys"]), step.pk in answer["keys"]) == (50, False)
    other = journal_data.running_run()
    assert json.loads(html(client, live_of(other)))["keys"] is None


@pytest.mark.slow
def test_fifty_thousand_steps_take_few_queries_and_show_the_first_ones(
    client: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    run = journal_data.wide_run(50_000)
    with django_assert_max_num_queries(14):
        page = html(client, url_of(run))
    assert page.count("<tr id=") == 2000
    assert "<bdi>Step 0</bdi>" in page
    assert "48,000 successful steps are omitted" in page
    assert len(page) < 2_000_000


def test_the_page_counts_failures_that_are_too_many_to_show(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("django_runbook.pages.attempt_rows.MAX_ATTEMPTS", 50)
    run = journal_data.wide_run(70, status="failed")
    StepRun.objects.filter(run=run, attempt=1).exclude(step_id__endswith="0").update(status="failed")
    page = html(client, url_of(run))
    assert "7 successful and 13 other steps are omitted" in page
    assert "7 succeeded, 50 failed, 13 not counted" in page


def test_a_run_that_is_resumed_during_the_request_is_drawn(client: Client) -> None:
    run = journal_data.resumed_run()
    Run.objects.filter(pk=run.pk).update(attempt_count=1)
    assert "rb-bar" in html(client, url_of(run))


def test_a_run_without_steps_is_shown(client: Client) -> None:
    run = journal_data.new_run(status="failed", exit_code=75, reason="the lock is held", params={}, step_count=0)
    page = html(client, url_of(run))
    assert "No step has started." in page
    assert "the lock is held" in page


def test_the_page_states_that_a_secret_parameter_was_not_recorded(client: Client) -> None:
    run = journal_data.new_run(options={"withheld_params": ["key"], "only": []}, params={})
    assert "not recorded, because it contained a secret" in html(client, url_of(run))


def test_numbers_in_svg_do_not_depend_on_the_language(client: Client, settings: Settings) -> None:
    settings.LANGUAGE_CODE, settings.USE_THOUSAND_SEPARATOR = "de", True
    run = journal_data.failed_run()
    StepRun.objects.filter(run=run, step_id="migrate").update(id=123_456)
    page = html(client, url_of(run))
    assert 'id="rb-123456"' in page
    assert not re.search(r'(?:x|width)="\d+,\d', page)


def test_the_pages_work_without_time_zones(client: Client, settings: Settings) -> None:
    settings.USE_TZ = False
    run = journal_data.failed_run(
        started_at=datetime.datetime(2026, 3, 2, 4, 30),  # noqa: DTZ001 - as the columns have it then
        finished_at=datetime.datetime(2026, 3, 2, 4, 33),  # noqa: DTZ001 - likewise
    )
    assert "2026-03-02 04:30:00" in html(client, url_of(run))
    assert "2026-03-02 04:30:00" in html(client, LIST)


# -- live -----------------------------------------------------------------------------------------------------------------


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


# -- the page of a step ---------------------------------------------------------------------------------------------------


def test_the_page_of_a_step_shows_command_line_error_output_and_definition(client: Client) -> None:
    run = journal_data.failed_run()
    page = html(client, step_url(run, "rebuild_index"))
    assert "rebuild_index flights.Flight flights.Airport" in page
    assert "<b>TransportError</b>: <bdi>429 Too Many Requests" in page
    assert re.search(r"<details><summary>Traceback</summary><pre[^>]*>Traceback", page)
    assert page.index("indexed 19000 rows") < page.index("1,234 lines omitted") < page.index("giving up")
    assert "runbooks/nightly.yml:" in page


def test_the_attempts_of_a_step_link_to_each_other(client: Client) -> None:
    run = journal_data.failed_run()
    first, second = step_url(run, "import[3]"), step_url(run, "import[3]", 2)
    page = html(client, first)
    assert f'href="{first}" aria-current="page"' in page
    assert f'href="{second}"' in page
    assert "OperationalError" in page
    assert "OperationalError" not in html(client, second)


def test_a_captured_output_is_shown_unchanged(client: Client) -> None:
    page = html(client, step_url(journal_data.failed_run(), "count_delays"))
    assert "&quot;very_late&quot;: 31" in page


def test_lone_surrogates_are_shown_escaped(client: Client) -> None:
    run = journal_data.new_run(params={"word": "\udcff"})
    journal_data.Writer(run).step("say", argv=["say", "\udcff"], output=["\ud800"])
    assert r"<bdi>\udcff</bdi>" in html(client, url_of(run))
    page = html(client, step_url(run, "say"))
    assert r"\udcff&#x27;</pre>" in page
    assert r"\ud800" in page


def test_a_long_captured_output_is_truncated(client: Client) -> None:
    run = journal_data.new_run()
    journal_data.Writer(run).step("big", output=["x" * 300_000])
    assert len(html(client, step_url(run, "big"))) < 100_000


def test_the_page_states_that_a_captured_secret_was_not_stored(client: Client) -> None:
    run = journal_data.new_run()
    journal_data.Writer(run).step("get_token", is_output_secret=True)
    assert "contained a secret and was not stored" in html(client, step_url(run, "get_token"))


def test_the_list_of_steps_redirects_to_the_runs(client: Client) -> None:
    response = client.get("/admin/django_runbook/steprun/")
    assert (response.status_code, response["Location"]) == (302, LIST)


# -- a recorded run ---------------------------------------------------------------------------------------

REAL = """
secrets: [HUSH]
steps:
  - {id: shaky, command: fail, retry: {attempts: 2, delay: 0}, continue_on_error: true}
  - id: each
    command: say
    args: ["${{ item }} ${{ secrets.HUSH }}"]
    for_each: [x, y]
  - {id: count, command: count_rows --max-errors 1, continue_on_error: true}
  - fail
finally:
  - say done
"""


def count_but_the_second(self: Any, rows: Any) -> None:
    if rows.filter(pk=2).exists():
        raise ValueError("the second is not to be counted")


@pytest.mark.django_db(transaction=True)
def test_the_pages_show_a_recorded_run(tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.RUNBOOK = {**settings.RUNBOOK, "JOURNAL": True}
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HUSH", "sesame-open")
    monkeypatch.setattr(count_rows.Command, "process_batch", count_but_the_second)
    Row.objects.bulk_create(Row(pk=pk) for pk in (1, 2, 3))
    assert run_runbook(tmp_path, REAL).exit_code == 1

    client = client_of(*OURS)
    run = Run.objects.get()
    page = html(client, url_of(run))
    assert "3 succeeded, 1 failed, 2 failed but ignored" in page
    assert [re.findall(r"rb-bar rb-(\w+)", row) for row in re.findall(r"<tr id=.*?</tr>", page)] == [
        ["failed", "ignored"],
        ["succeeded"],
        ["succeeded"],
        ["succeeded"],
        ["ignored"],
        ["failed"],
        ["succeeded"],
    ]
    link = re.search(r'href="([^"]+)">1 failed row<', page)
    assert link
    assert "the second is not to be counted" in html(client, link[1])
    pages = [page, html(client, step_url(run, "each[1]")), html(client, step_url(run, "fail"))]
    assert "x ***" in pages[1]
    assert not any("sesame-open" in text for text in pages)


# -- hostile texts, and the policy ----------------------------------------------------------------------------------------

HOSTILE = "<script>alert(1)</script>\u202e{{ 7|add:7 }}\"'><img src=x onerror=alert(1)>"


def hostile_run() -> Run:
    run = journal_data.new_run(
        name=HOSTILE,
        runbook=HOSTILE,
        file=HOSTILE,
        status="failed",
        reason=HOSTILE,
        params={HOSTILE: HOSTILE},
        options={"only": [HOSTILE]},
        user=HOSTILE[:100],
    )
    rows = journal_data.Writer(run)
    rows.group("group", 0, 2, name=HOSTILE)
    rows.step(
        "step",
        name=HOSTILE,
        group_ids=["group"],
        status="failed",
        error_type=HOSTILE,
        message=HOSTILE,
        traceback=HOSTILE,
        argv=["say", HOSTILE],
        warnings=[HOSTILE],
        output_head=HOSTILE,
        output_tail=HOSTILE,
        output=[HOSTILE],
        definition=HOSTILE,
        file=HOSTILE,
    )
    return run


def all_pages(client: Client, run: Run) -> list[str]:
    live = client.get(live_of(run)).json()
    pieces = [live["summary"], live["axis"], *(row["html"] for row in live["rows"])]
    step = StepRun.objects.filter(run=run).order_by("-pk")[0]
    pages = (LIST, url_of(run), reverse("admin:django_runbook_steprun_change", args=(step.pk,)))
    return [*(html(client, url) for url in pages), "".join(pieces)]


def test_no_text_of_a_run_becomes_markup(client: Client) -> None:
    for page in all_pages(client, hostile_run()):
        assert "<script>alert" not in page
        assert "<img src=x" not in page
        assert hidden_in(page) == []


def test_no_page_loads_anything_from_other_sites(client: Client) -> None:
    for page in all_pages(client, journal_data.failed_run()):
        assert not re.search(r"<script(?![^>]*\bsrc=)(?![^>]*type=\"application/json\")", page)
        assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:", page)
        assert not re.search(r'(?:src|href)="(?:https?:)?//', page)


# -- permissions ----------------------------------------------------------------------------------------------------------


def all_urls() -> list[str]:
    run = journal_data.failed_run()
    names = ("failedrow", "checkpoint")
    rows = [reverse(f"admin:django_runbook_{name}_changelist") for name in names]
    rows += [reverse("admin:django_runbook_failedrow_change", args=(FailedRow.objects.all()[0].pk,))]
    return [LIST, url_of(run), live_of(run), step_url(run, "migrate"), *rows]


def test_a_user_with_the_permissions_sees_every_page(client: Client) -> None:
    assert [client.get(url).status_code for url in all_urls()] == [200] * 7


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("run/%00/change/", 404),
        ("run/%00/live/", 404),
        ("run/?runbook=%00", 200),
        ("failedrow/?scope=%00", 200),
    ],
)
def test_a_nul_character_is_never_sent_to_the_database(client: Client, path: str, status: int) -> None:
    journal_data.failed_run()
    asked: list[object] = []

    def note(execute: Callable[..., object], sql: str, params: Any, *more: Any) -> object:
        asked.extend(params or ())
        return execute(sql, params, *more)

    with connection.execute_wrapper(note):
        assert client.get(f"/admin/django_runbook/{path}").status_code == status
    assert [value for value in asked if "\0" in str(value)] == []


def test_staff_without_permissions_see_nothing() -> None:
    client = client_of()
    assert [client.get(url).status_code for url in all_urls()] == [403] * 7
    assert "Runbooks" not in html(client, "/admin/")


@pytest.mark.parametrize("make", [Client, lambda: client_of(*OURS, is_staff=False)], ids=["anonymous", "no staff"])
def test_other_users_are_redirected_to_the_login(make: Callable[[], Client]) -> None:
    client = make()
    assert [client.get(url).status_code for url in all_urls()] == [302] * 7


def test_without_the_permission_for_steps_a_run_shows_none_of_them() -> None:
    run = journal_data.failed_run()
    client = client_of(Run)
    page = html(client, url_of(run))
    assert "You do not have permission to view the steps." in page
    assert "rebuild_index" not in page
    assert client.get(live_of(run)).json()["rows"] == []
    assert client.get(step_url(run, "rebuild_index")).status_code == 403


def test_without_the_permission_for_runs_no_step_is_shown() -> None:
    run = journal_data.failed_run()
    assert client_of(StepRun).get(step_url(run, "rebuild_index")).status_code == 403


def test_without_the_permission_for_failed_rows_there_is_no_link() -> None:
    page = html(client_of(Run, StepRun), url_of(journal_data.failed_run()))
    assert "failed rows" not in page


@pytest.mark.parametrize("model", OURS)
def test_no_user_adds_changes_or_deletes_a_row(admin_client: Client, model: type[Any]) -> None:
    run = journal_data.failed_run()
    row = model.objects.all()[0]
    name = f"admin:django_runbook_{model._meta.model_name}"
    before = model.objects.count()
    assert admin_client.post(reverse(f"{name}_add"), {}).status_code == 403
    assert admin_client.post(reverse(f"{name}_delete", args=(row.pk,)), {"post": "yes"}).status_code == 403
    change = admin_client.post(reverse(f"{name}_change", args=(row.pk,)), {"name": "changed", "status": "x"})
    assert change.status_code in {200, 403}
    delete = {"action": "delete_selected", "_selected_action": [row.pk], "post": "yes"}
    admin_client.post(reverse(f"{name}_changelist"), delete)
    assert model.objects.count() == before
    run.refresh_from_db()
    assert run.name == "Nightly maintenance"


@pytest.mark.parametrize("path", ["run/nothing/change/", "run/nothing/live/", "steprun/0/change/", "steprun/x/change/"])
def test_a_missing_row_is_not_found(client: Client, path: str) -> None:
    assert client.get(f"/admin/django_runbook/{path}").status_code == 404


def test_responses_are_not_cached(client: Client) -> None:
    run = journal_data.failed_run()
    for url in (url_of(run), live_of(run)):
        assert "no-store" in client.get(url)["Cache-Control"]
    assert json.loads(client.get(live_of(run)).content)["is_finished"]
