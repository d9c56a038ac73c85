from __future__ import annotations

import re

import pytest
from django.test import Client
from django.urls import reverse

from django_runbook.models import Run, StepRun
from tests import journal_data
from tests.admin.support import (
    LIST,
    html,
    live_of,
    url_of,
)
from tests.nasty import hidden_in

pytestmark = pytest.mark.django_db


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
