from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from django_runbook.models import Run, StepRun
from tests import journal_data
from tests.admin.support import (
    LIST,
    client_of,
    html,
    step_url,
    url_of,
)

pytestmark = pytest.mark.django_db


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


@pytest.mark.parametrize(
    ("stored", "shown"),
    [
        (None, None),
        ({"tables": {}}, "<p>None.</p>"),
        (
            {"tables": {"flights": {"inserted": 27004, "written": 2}}},
            "<bdi>flights</bdi></code></dt><dd>27,004 inserted, 2 inserted or updated</dd>",
        ),
        ({"tables": {"flights": {"deleted": 1}}, "notes": ["<b>"]}, "<dd>at least 1 deleted</dd>"),
        ({"tables": {}, "notes": ["<b>"]}, "<li><bdi>&lt;b&gt;</bdi></li>"),
        ({"tables": {}, "unknown": "it was killed"}, "<p>Unknown: it was killed.</p>"),
    ],
    ids=["not counted", "none", "some", "at least", "notes", "unknown"],
)
def test_the_rows_that_a_step_changed_are_shown(
    client: Client, stored: dict[str, Any] | None, shown: str | None
) -> None:
    run = journal_data.new_run()
    journal_data.Writer(run).step("import", row_counts=stored)
    page = html(client, step_url(run, "import"))
    assert ("Rows changed" in page) == (shown is not None)
    assert shown is None or shown in page


def live(client: Client, run: Run, seen: object) -> dict[str, Any]:
    answer = client.get(f"{step_url(run, 'backfill').replace('/change/', '/live/')}?seen={seen}")
    assert answer.status_code == 200
    values: dict[str, Any] = answer.json()
    return values


def test_a_running_step_answers_with_the_lines_that_the_page_lacks(
    client: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    run = journal_data.running_run()
    steps = StepRun.objects.filter(run=run, step_id="backfill")
    page = html(client, step_url(run, "backfill"))
    assert 'data-seen="0"' in page
    assert re.search(r'<pre class="rb-output"[^>]*></pre>', page)
    steps.update(output_head="<one>\ntwo", output_tail="eight\nnine", omitted_count=5)
    # The step of the URL; session, user, two for permissions, the step with its run.
    with django_assert_max_num_queries(6):
        answer = live(client, run, 1)
    assert (answer["head"], answer["omitted"], answer["tail"]) == (["two"], "5 lines omitted", ["eight", "nine"])
    assert (answer["seen_count"], answer["is_finished"]) == (9, False)
    assert 'data-seen="9"' in html(client, step_url(run, "backfill"))
    steps.update(status="failed", exit_code=1)
    answer = live(client, run, answer["seen_count"])
    assert (answer["head"], answer["tail"], answer["is_finished"], answer["status"]) == ([], [], True, "failed")
    assert "exit code 1" in answer["headline"]
    assert "step.js" not in html(client, step_url(run, "backfill"))


@pytest.mark.parametrize("seen", ["", "-1", "x", "9" * 30])
def test_an_invalid_number_of_seen_lines_shows_all(client: Client, seen: str) -> None:
    run = journal_data.running_run()
    StepRun.objects.filter(run=run, step_id="backfill").update(output_head="one")
    assert live(client, run, seen)["head"] == ["one"]


def test_the_output_of_a_running_step_needs_both_permissions() -> None:
    run = journal_data.running_run()
    url = step_url(run, "backfill").replace("/change/", "/live/")
    assert [client_of(*models).get(url).status_code for models in ((Run,), (StepRun,), (Run, StepRun))] == [
        403,
        403,
        200,
    ]


def test_the_list_of_steps_redirects_to_the_runs(client: Client) -> None:
    response = client.get("/admin/django_runbook/steprun/")
    assert (response.status_code, response["Location"]) == (302, LIST)
