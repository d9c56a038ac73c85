"""Tests the pages of checkpoints, whose shards are shown as one piece of work."""

from __future__ import annotations

import datetime
import re
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from django_runbook.models.checkpoints import Checkpoint
from tests import journal_data
from tests.admin.support import html

pytestmark = pytest.mark.django_db
SUM = "1,700 of 3,001 (3 failed)"
LIST = "/admin/django_runbook/checkpoint/"


def checkpoint(shard: str = "", scope: str = "s", **values: Any) -> Checkpoint:
    begin = {"started_at": journal_data.BEGIN, "updated_at": journal_data.BEGIN}
    defaults = {"command": "backfill", "description": "flights.Flight by pk", "owner": "o", "holder": "h", **begin}
    return Checkpoint.objects.create(scope=scope, shard=shard, **defaults | values)


def shards(scope: str = "s", **values: Any) -> list[Checkpoint]:
    later = journal_data.BEGIN + datetime.timedelta(hours=1)
    return [
        checkpoint("1/3", scope, done_count=1000, total_count=1000, finished_at=later, **values),
        checkpoint("2/3", scope, done_count=700, failed_count=3, total_count=1000, updated_at=later, **values),
        checkpoint("3/3", scope, total_count=1001, **{"owner": "", "holder": "nobody yet", **values}),
    ]


def lines(page: str) -> list[str]:
    """Return the text of each line of the list."""
    found = re.findall(r"<tr>(.*?)</tr>", page[page.index("<tbody>") :], flags=re.DOTALL)
    return [" ".join(re.sub(r"<[^>]*>", " ", line).split()) for line in found]


def test_the_shards_of_a_piece_of_work_are_one_line(client: Client) -> None:
    shards()
    checkpoint(scope="t", command="import", done_count=5, failed_count=1)
    assert lines(html(client, LIST)) == [
        "import flights.Flight by pk 5 (1 failed) not finished 2026-03-02 04:30:00 UTC",
        f"backfill, 3 shards flights.Flight by pk {SUM} 1 of 3 shards finished 2026-03-02 05:30:00 UTC",
    ]


@pytest.mark.parametrize(
    ("query", "commands"),
    [
        ("?finished_at__isnull=True", ["import", "backfill,"]),
        ("?finished_at__isnull=False", ["purge,"]),
        ("?q=purge", ["purge,"]),
        ("?o=1", ["import", "backfill,", "purge,"]),
        ("?o=-1", ["purge,", "backfill,", "import"]),
        ("?o=-2", ["purge,", "backfill,", "import"]),
    ],
)
def test_work_is_filtered_and_ordered_as_one(client: Client, query: str, commands: list[str]) -> None:
    last = journal_data.BEGIN + datetime.timedelta(days=1)
    shards()
    shards("u", command="purge")
    Checkpoint.objects.filter(scope="u").update(finished_at=last, updated_at=last, done_count=900)
    checkpoint(scope="t", command="import")
    assert [line.split()[0] for line in lines(html(client, LIST + query))] == commands


def test_the_total_of_work_is_shown_only_if_it_is_known(client: Client) -> None:
    shards()
    Checkpoint.objects.filter(shard="3/3").update(total_count=None)
    assert " 1,700 (3 failed) " in lines(html(client, LIST))[0]


@pytest.mark.parametrize("index", [0, 1, 2])
def test_the_page_of_a_shard_shows_all_shards_of_its_work(client: Client, index: int) -> None:
    url = reverse("admin:django_runbook_checkpoint_change", args=(shards()[index].pk,))
    page = html(client, url)
    assert lines(page) == [
        "1/3 finished 1,000 of 1,000 2026-03-02 04:30:00 UTC h",
        "2/3 not finished 700 of 1,000 (3 failed) 2026-03-02 05:30:00 UTC h",
        "3/3 not started 0 of 1,001 2026-03-02 04:30:00 UTC nobody yet",
    ]
    assert SUM in page
    assert "1 of 3 shards finished" in page


def test_work_without_shards_shows_its_checkpoint(client: Client) -> None:
    row = checkpoint(cursor="[17]")
    page = html(client, reverse("admin:django_runbook_checkpoint_change", args=(row.pk,)))
    assert "[17]" in page
    assert "<tbody>" not in page


def test_the_list_takes_as_many_queries_for_more_work(client: Client) -> None:
    def count() -> int:
        with CaptureQueriesContext(connection) as queries:
            html(client, LIST)
        return len(queries)

    shards()
    before = count()
    for number in range(10):
        shards(f"more {number}")
    assert count() == before
