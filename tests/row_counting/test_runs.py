"""Runbooks in, the rows that their steps change out: in events, in the history and on screens."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from django_runbook.models import Run, StepRun
from tests.management.commands.stored_runs import show
from tests.runner.support import run
from tests.testapp.models import Node, Row

pytestmark = pytest.mark.usefixtures("history")
SITE = {"inserted": 1, "updated": 0, "deleted": 0, "written": 0}


def account_of(finished: Any, step_id: str) -> dict[str, Any] | None:
    account: dict[str, Any] | None = finished.result(step_id)["row_account"]
    return account


@pytest.mark.django_db(transaction=True)
def test_the_account_is_in_the_event_the_history_and_the_report(tmp_path: Path, way: str) -> None:
    finished = run(tmp_path, "steps: [make_site a.example, noop]")
    assert account_of(finished, "make_site") == {"tables": {"django_site": SITE}, "notes": [], "unknown": ""}
    assert account_of(finished, "noop") == {"tables": {}, "notes": [], "unknown": ""}
    assert StepRun.objects.get(step_id="make_site").row_counts == {"tables": {"django_site": {"inserted": 1}}}
    text = show("--run", Run.objects.get().pk)
    assert text.splitlines()[-2].endswith("; django_site +1")
    assert text.splitlines()[-1].startswith("  ✓ noop: succeeded, 0.")
    shown = run(tmp_path, "steps: [make_site b.example]", format="plain").shown
    assert any(line.endswith("): django_site +1") for line in shown)


@pytest.mark.django_db(transaction=True)
def test_a_failed_attempt_has_an_account_of_its_own(tmp_path: Path) -> None:
    finished = run(tmp_path, "steps: [{command: make_site a.example --fail, retry: {attempts: 2, delay: 0}}]")
    failed = [event for event in finished.events if event["event"] == "attempt_failed"]
    assert [event["row_account"]["tables"] for event in failed] == [{"django_site": SITE}]
    rows = list(StepRun.objects.order_by("pk").values_list("row_counts", flat=True))
    # The second attempt violates a constraint.
    assert rows == [{"tables": {"django_site": {"inserted": 1}}}, {"tables": {}}]


@pytest.mark.django_db(transaction=True)
def test_a_failed_atomic_step_has_changed_nothing(tmp_path: Path, way: str) -> None:
    finished = run(tmp_path, "steps: [{command: make_site a.example --fail, atomic: true}]")
    assert account_of(finished, "make_site") == {"tables": {}, "notes": [], "unknown": ""}


@pytest.mark.django_db(transaction=True)
def test_an_atomic_step_is_counted(tmp_path: Path, way: str) -> None:
    run(tmp_path, "steps: [{command: make_site a.example, atomic: true}]")
    assert StepRun.objects.get().row_counts == {"tables": {"django_site": {"inserted": 1}}}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("way", ["isolated"], indirect=True)
def test_the_rows_of_a_process_that_dies_are_unknown(tmp_path: Path, way: str) -> None:
    finished = run(tmp_path, "steps: [crash kill]")
    assert account_of(finished, "crash") == {
        "tables": {},
        "notes": [],
        "unknown": "its process ended before it reported them",
    }


@pytest.mark.django_db(transaction=True)
def test_a_dry_run_says_what_a_purge_would_delete_with_its_cascades(tmp_path: Path) -> None:
    old = timezone.now() - timedelta(days=9)
    root = Node.objects.create(made_at=old)
    Node.objects.bulk_create([Node(made_at=timezone.now(), parent=root) for _ in range(3)])
    finished = run(tmp_path, "steps: [purge_rows testapp.Node --older-than 1d --field made_at]", dry_run=True)
    account = account_of(finished, "purge_rows")
    assert account is not None
    assert account["tables"] == {"testapp_node": SITE | {"inserted": 0, "deleted": 4}}
    assert Node.objects.count() == 4


@pytest.mark.django_db(transaction=True)
def test_a_dry_run_says_what_batches_would_change(tmp_path: Path, way: str) -> None:
    Row.objects.bulk_create([Row() for _ in range(10)])
    finished = run(tmp_path, "steps: [count_rows]", dry_run=True, format="plain")
    assert Row.objects.filter(count=1).count() == 0
    assert any("): would change testapp_row ~10" in line for line in finished.shown), finished.shown
    finished = run(tmp_path, "steps: [count_rows]")
    assert account_of(finished, "count_rows") is not None
    assert StepRun.objects.get().row_counts == {"tables": {"testapp_row": {"updated": 10}}}


@pytest.mark.django_db(transaction=True)
def test_a_secret_in_the_name_of_a_table_is_masked_before_it_is_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TENANT_TOKEN", "django_site")
    finished = run(tmp_path, "secrets: [TENANT_TOKEN]\nsteps: [make_site a.example]")
    assert account_of(finished, "make_site") == {"tables": {"***": SITE}, "notes": [], "unknown": ""}
    assert StepRun.objects.get().row_counts == {"tables": {"***": {"inserted": 1}}}
