"""Makes locks, clients and addresses for the tests of the admin, and reads its pages."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from django_runbook.admin import project_locks
from django_runbook.locks.base import Probe
from django_runbook.models import Run, StepRun
from django_runbook.models.checkpoints import Checkpoint, FailedRow, FinishedKey
from tests import journal_data

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
