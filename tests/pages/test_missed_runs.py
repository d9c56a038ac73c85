"""Tests the banner about runs that did not happen."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from django_runbook.pages import missed_runs
from tests.admin.support import LIST, html
from tests.services import GoneCache

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, settings: Settings) -> None:
    cache.delete(missed_runs.CACHE_KEY)
    settings.RUNBOOK = {**settings.RUNBOOK, "DIRS": [tmp_path]}
    for number in range(7):
        path = tmp_path / f"nightly{number}.yml"
        path.write_text('schedule: {cron: "15 2 * * *"}\nsteps: [noop]\n')
        os.utime(path, (0, 0))


def test_the_list_of_runs_names_the_first_ones_and_counts_the_others(admin_client: Client) -> None:
    page = html(admin_client, LIST)
    assert "Not as scheduled" in page
    assert "nightly4.yml" in page
    assert "nightly5.yml" not in page
    assert "and 2 more runbooks" in page
    with CaptureQueriesContext(connection) as found:
        again = html(admin_client, LIST)
    assert "nightly4.yml" in again
    # The files and their runs are not read again.
    assert not any("nightly" in query["sql"] for query in found)


def test_a_cache_that_does_not_answer_is_done_without(admin_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(missed_runs, "cache", GoneCache())
    assert "nightly4.yml" in html(admin_client, LIST)


def test_a_wrong_setting_is_shown_instead(admin_client: Client, settings: Settings) -> None:
    settings.RUNBOOK = {**settings.RUNBOOK, "DIRS": 1}
    assert "The schedules could not be checked: RUNBOOK[&quot;DIRS&quot;] must be" in html(admin_client, LIST)


def test_without_problems_there_is_no_banner(admin_client: Client, settings: Settings) -> None:
    settings.RUNBOOK = {**settings.RUNBOOK, "DIRS": []}
    assert "Not as scheduled" not in html(admin_client, LIST)
