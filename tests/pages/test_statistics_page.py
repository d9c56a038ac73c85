"""Tests the page with the durations of a runbook."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from django_runbook.models import Run
from tests.admin.support import LIST, html, url_of
from tests.forecasts.test_statistics import night

pytestmark = pytest.mark.django_db
PAGE = f"{LIST}statistics/?runbook=nightly.yml"


def test_the_plot_has_a_dot_for_each_run_and_the_tables_say_the_same(
    admin_client: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(20):
        night(number, seconds=60 + number)
    odd = night(20, seconds=300, unusual=[{"step_id": "load", "kind": "slow", "text": "took <5m>; usually 1m"}])
    page = html(admin_client, PAGE)
    assert "21 runs, 0 failed, 1 unusual; median 1m03s in the first week, 1m17s in the last" in page
    found = re.search(r"<svg viewBox.*?</svg>", page, re.DOTALL)
    assert found is not None
    plot = ElementTree.fromstring(found[0])
    dots = plot.findall(".//circle")
    assert len(dots) == 21
    assert all(0 <= float(dot.attrib["cx"]) <= 1000 and 0 <= float(dot.attrib["cy"]) <= 260 for dot in dots)
    assert dots[-1].attrib["class"] == "rb-plot-mark rb-warning"
    assert "unusual: load: took <5m>; usually 1m" in "".join(dots[-1].itertext())
    assert url_of(odd) in [link.attrib["href"] for link in plot.findall(".//a")]
    assert plot.attrib["role"] == "img"
    assert '<th scope="row">2026-03-16</th>' in page
    assert "style=" not in found[0]
    # The session, the user, and two queries for the runs.
    with django_assert_num_queries(4):
        html(admin_client, PAGE)


def test_runs_that_took_no_time_and_a_single_run_are_shown(admin_client: Client) -> None:
    night(0, seconds=0)
    assert "A plot needs two runs" in html(admin_client, PAGE)
    night(1, seconds=0)
    assert html(admin_client, PAGE).count("<circle") == 2


def test_only_who_may_view_runs_sees_it(client: Client, admin_client: Client) -> None:
    Run.objects.all().delete()
    client.logout()
    assert client.get(PAGE).status_code == 302
    assert admin_client.get(f"{LIST}statistics/").status_code == 404
    assert "No runs are recorded." in html(admin_client, PAGE)


def test_the_page_of_a_run_has_its_forecast_and_what_is_unusual(admin_client: Client) -> None:
    forecast = {"seconds": 750.0, "most_seconds": 1000.0, "run_count": 58}
    odd = night(0, forecast=forecast, unusual=[{"step_id": "load", "kind": "rows", "text": "did 0 rows; usually 9"}])
    page = html(admin_client, url_of(odd))
    assert "usually 12m30s, at most 16m40s in 95% of 58 runs" in page
    assert "ends at about" not in page
    assert "load: did 0 rows; usually 9" in page
    assert "statistics/?runbook=nightly.yml" in page
    assert ">unusual<" in html(admin_client, LIST)
    live = night(1, forecast=forecast, status="running")
    assert "; ends at about " in html(admin_client, url_of(live))


def test_what_cannot_be_read_is_a_notice(admin_client: Client) -> None:
    broken = night(0, figures="nonsense", unusual=3, forecast={"seconds": "soon"})
    assert '<p class="rb-box">the stored figures of 1 run cannot be read, which are left out (' in html(
        admin_client, PAGE
    )
    assert html(admin_client, url_of(broken)).count("what the run stored cannot be read") == 2
    assert html(admin_client, LIST)
