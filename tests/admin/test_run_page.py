from __future__ import annotations

import datetime
import json
import re
import uuid
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings

import django_runbook
from django_runbook.models import RUNNING, Run, StepRun
from django_runbook.models.calls import Call
from django_runbook.models.checkpoints import Checkpoint, FailedRow
from tests import journal_data
from tests.admin.support import (
    LIST,
    OURS,
    client_of,
    html,
    live_of,
    row_of,
    statuses_of,
    step_url,
    url_of,
)
from tests.runner.support import run as run_runbook
from tests.testapp.management.commands import count_rows
from tests.testapp.models import Row

pytestmark = pytest.mark.django_db


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


@pytest.mark.slow
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
def test_twelve_thousand_steps_take_few_queries_and_show_the_first_ones(
    client: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    run = journal_data.wide_run(12_000)
    with django_assert_max_num_queries(14):
        page = html(client, url_of(run))
    assert page.count("<tr id=") == 2000
    assert "<bdi>Step 0</bdi>" in page
    assert "10,000 successful steps are omitted" in page
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


def new_call(run: Run, step_id: str, **columns: Any) -> Call:
    values = {"id": uuid.uuid4().hex, "attempt": 1, "engine": "celery", "queue": "heavy", "command": "noop", **columns}
    return Call.objects.create(run=run, step_id=step_id, **values)


def test_a_step_shows_its_worker_or_the_queue_in_which_it_waits(client: Client) -> None:
    run = journal_data.new_run(status=RUNNING)
    rows = journal_data.Writer(run)
    for step_id in ("released", "twice", "retried", "cancelled", "here"):
        rows.step(step_id, 0, None, status=RUNNING)
    rows.step("retried", 2, None, status=RUNNING)
    worker = {"host": "worker-1", "pid": 4242}
    new_call(run, "released", status="queued", **worker)
    new_call(run, "twice", number=2, status="running", host="<b>", pid=7)
    new_call(run, "twice", number=1, status="dead", **worker)
    new_call(run, "retried", attempt=2, number=1, status="running", **worker)
    new_call(run, "retried", attempt=1, number=2, status="dead", host="worker-2", pid=8)
    new_call(run, "cancelled", status="cancelled")
    new_call(journal_data.new_run(), "here", status="running", **worker)
    page = html(client, url_of(run))
    shown = {
        name: re.findall(r'<span class="rb-worker"><bdi>(.*?)</bdi>', row_of(page, name))
        for name in ("released", "twice", "retried", "cancelled", "here")
    }
    assert shown == {
        "released": ["queued on heavy"],
        "twice": ["&lt;b&gt;, process 7"],
        "retried": ["worker-1, process 4242"],
        "cancelled": ["cancelled on heavy"],
        "here": [],
    }
    assert "<dt>Worker</dt><dd><bdi>worker-2, process 8</bdi>" in html(client, step_url(run, "retried"))
    assert "<dt>Worker</dt><dd><bdi>worker-1, process 4242</bdi>" in html(client, step_url(run, "retried", 2))
    assert "<dt>Worker</dt>" not in html(client, step_url(run, "here"))


def test_the_worker_of_a_step_needs_the_permission_to_view_steps() -> None:
    run = journal_data.new_run()
    journal_data.Writer(run).step("one")
    new_call(run, "one", status="running", host="worker-1", pid=4242)
    assert "worker-1" not in html(client_of(Run), url_of(run))
    assert "worker-1" in html(client_of(Run, StepRun), url_of(run))
