"""Rows in, the numbers of those that Django would delete with them out."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.contrib.contenttypes.models import ContentType
from django.db.models.deletion import Collector
from django.utils import timezone

from django_runbook.management.cascades import count_cascades
from django_runbook.models import Run, StepRun
from tests import journal_data
from tests.testapp.models import Node

pytestmark = pytest.mark.django_db


def test_cascades_are_those_that_a_deletion_would_collect() -> None:
    runs = [journal_data.failed_run() for _ in range(3)]
    journal_data.failed_run()
    rows = Run.objects.filter(pk__in=[run.pk for run in runs])
    counted = count_cascades(rows, lambda related: related.count())
    _, deleted = rows.delete()
    assert counted == {StepRun._meta.db_table: deleted["django_runbook.StepRun"]}


def test_rows_over_two_relations_and_in_tables_between_are_counted() -> None:
    group, user = Group.objects.create(name="a"), User.objects.create(username="a")
    kind = ContentType.objects.create(app_label="a", model="b")
    group.permissions.set([Permission.objects.create(codename=str(n), content_type=kind, name="a") for n in range(4)])
    user.groups.add(group)
    rows = ContentType.objects.filter(pk=kind.pk)
    counted = count_cascades(rows, lambda related: related.count())
    collector = Collector(using="default")
    collector.collect(rows)
    assert counted == {"auth_permission": 4, "auth_group_permissions": 4}
    assert rows.delete()[1] == {
        "contenttypes.ContentType": 1,
        "auth.Permission": 4,
        "auth.Group_permissions": 4,
    }


def test_a_row_of_a_tree_that_is_deleted_anyway_does_not_count() -> None:
    old = timezone.now() - timedelta(days=2)
    root = Node.objects.create(made_at=old)
    Node.objects.create(made_at=old, parent=root)
    Node.objects.create(made_at=timezone.now(), parent=root)
    rows = Node.objects.filter(made_at__lt=timezone.now() - timedelta(days=1))
    assert count_cascades(rows, lambda related: related.count()) == {"testapp_node": 1}


def test_what_is_not_counted_is_unknown() -> None:
    journal_data.failed_run()
    assert set(count_cascades(Run.objects.all(), lambda related: None).values()) == {None}
