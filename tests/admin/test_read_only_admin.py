from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse

from django_runbook.models import Run, StepRun
from django_runbook.models.checkpoints import FailedRow
from tests import journal_data
from tests.admin.support import (
    LIST,
    OURS,
    client_of,
    html,
    live_of,
    step_url,
    url_of,
)

pytestmark = pytest.mark.django_db


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


@pytest.mark.parametrize("page", ["run", "step"])
def test_a_page_says_that_the_table_of_calls_is_of_another_version(client: Client, page: str) -> None:
    run = journal_data.failed_run()
    url = url_of(run) if page == "run" else step_url(run, "rebuild_index")
    assert client.get(url).status_code == 200
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE django_runbook_call RENAME COLUMN host TO other")
    response = client.get(url)
    assert response.status_code == 503
    assert "the tables of django_runbook are of another version (migrate updates them)" in response.content.decode()
