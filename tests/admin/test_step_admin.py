from __future__ import annotations

import re

import pytest
from django.test import Client

from tests import journal_data
from tests.admin.support import (
    LIST,
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


def test_the_list_of_steps_redirects_to_the_runs(client: Client) -> None:
    response = client.get("/admin/django_runbook/steprun/")
    assert (response.status_code, response["Location"]) == (302, LIST)
