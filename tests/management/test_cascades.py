"""Rows in, the numbers of those that Django would delete with them out."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import Group, Permission, User
from django.contrib.contenttypes.models import ContentType
from django.db import IntegrityError, connections, models, transaction
from django.db.models import signals
from django.utils import timezone

from django_runbook.batch.estimates import Cascades
from django_runbook.management import cascades
from django_runbook.management.cascades import count_cascades
from django_runbook.models import Run, StepRun
from tests import journal_data
from tests.batch import engines
from tests.batch.engines import VENDORS, Engine
from tests.batchapp.purged import PURGED, HeavyParcel, Parcel, Remark, Seal, Stamp, Tag, Truck
from tests.examples import examples
from tests.testapp.models import Node

pytestmark = pytest.mark.django_db


def count(rows: Any) -> int:
    return int(rows.count())


def test_cascades_are_those_that_a_deletion_would_collect() -> None:
    runs = [journal_data.failed_run() for _ in range(3)]
    journal_data.failed_run()
    rows = Run.objects.filter(pk__in=[run.pk for run in runs])
    counted = count_cascades(rows, count)
    _, deleted = rows.delete()
    assert counted == Cascades(counts={StepRun._meta.db_table: deleted["django_runbook.StepRun"]})


def test_rows_over_two_relations_and_in_tables_between_are_counted() -> None:
    group, user = Group.objects.create(name="a"), User.objects.create(username="a")
    kind = ContentType.objects.create(app_label="a", model="b")
    group.permissions.set([Permission.objects.create(codename=str(n), content_type=kind, name="a") for n in range(4)])
    user.groups.add(group)
    rows = ContentType.objects.filter(pk=kind.pk)
    assert count_cascades(rows, count).counts == {"auth_permission": 4, "auth_group_permissions": 4}


def test_a_row_of_a_tree_that_is_deleted_anyway_does_not_count() -> None:
    old = timezone.now() - timedelta(days=2)
    root = Node.objects.create(made_at=old)
    Node.objects.create(made_at=old, parent=root)
    Node.objects.create(made_at=timezone.now(), parent=root)
    rows = Node.objects.filter(made_at__lt=timezone.now() - timedelta(days=1))
    assert count_cascades(rows, count) == Cascades(counts={"testapp_node": 1})


def test_what_is_not_counted_is_unknown() -> None:
    journal_data.failed_run()
    found = count_cascades(Run.objects.all(), lambda related: None)
    assert set(found.counts.values()) == {None}
    assert found.notes


def test_a_deep_tree_is_followed_to_its_end() -> None:
    row = root = Node.objects.create(made_at=timezone.now())
    for _ in range(20):
        row = Node.objects.create(made_at=timezone.now(), parent=row)
    assert count_cascades(Node.objects.filter(pk=root.pk), count) == Cascades(counts={"testapp_node": 20})


def test_more_levels_than_are_followed_are_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cascades, "_MAX_KEYS", 0)
    row = root = Node.objects.create(made_at=timezone.now())
    for _ in range(20):
        row = Node.objects.create(made_at=timezone.now(), parent=row)
    found = count_cascades(Node.objects.filter(pk=root.pk), count)
    assert found.counts == {"testapp_node": 4}
    assert found.notes == ("what goes with rows of testapp.Node is not counted: too many levels",)


def test_receivers_of_signals_and_deletions_of_a_project_are_noted() -> None:
    def receive(**options: object) -> None: ...

    signals.post_delete.connect(receive, sender=Node)
    try:
        assert count_cascades(Node.objects.all(), count).notes == ("signal receivers of testapp.Node may delete more",)
    finally:
        signals.post_delete.disconnect(receive, sender=Node)

    class Marked(models.QuerySet[Any]):
        def delete(self) -> Any: ...

    assert count_cascades(Marked(Node), count).notes == ("Marked.delete() is not that of Django",)


@pytest.fixture(params=VENDORS)
def engine(request: pytest.FixtureRequest, tmp_path: Path, django_db_blocker: Any) -> Iterator[Engine]:
    with django_db_blocker.unblock():
        making = engines.make(request.param, tmp_path)
        engine = next(making)
        with engine.known():
            with engine.connection.schema_editor() as editor:
                for model in (ContentType, *PURGED):
                    editor.create_model(model)
            yield engine
        next(making, None)


def fill(alias: str, rng: random.Random) -> None:
    def some(count: int) -> Any:
        return rng.choice([*keys, None]) if count and keys else None

    for model in (Stamp, Seal, Tag, Remark, Truck, HeavyParcel, Parcel):
        model._default_manager.using(alias).all().delete()
    kind = ContentType.objects.db_manager(alias).get_for_model(Parcel)
    keys: list[int] = []
    for number in range(rng.randrange(1, 15)):
        model = HeavyParcel if rng.random() < 0.3 else Parcel
        keys.append(model.objects.using(alias).create(parent_id=some(number), age=rng.randrange(4)).pk)
    heavy = list(HeavyParcel.objects.using(alias).values_list("pk", flat=True))
    for _ in range(rng.randrange(20)):
        tag = Tag.objects.using(alias).create(first_id=rng.choice(keys), second_id=some(1), third_id=some(1))
        Stamp.objects.using(alias).create(tag=tag, heavy_id=rng.choice([*heavy, None]))
        # Whether Django deletes those about a parcel that is heavy too depends on the order in which it finds them.
        about = rng.choice([key for key in keys if key not in heavy] or [0])
        Remark.objects.using(alias).create(kind=kind, about_id=about)
        truck = Truck.objects.using(alias).create()
        truck.parcels.set(rng.sample(keys, min(len(keys), 2)))


def deleted_by(rows: Any) -> Counter[str]:
    """What Django deletes, by table; it is rolled back."""
    with transaction.atomic(using=rows.db):
        _, deleted = rows.all().delete()
        transaction.set_rollback(True, using=rows.db)
    return Counter({apps.get_model(label)._meta.db_table: number for label, number in deleted.items() if number})


@pytest.mark.slow
@pytest.mark.parametrize("most", [500, 3, 0], ids=["by keys", "by both", "by queries"])
def test_random_cascades_are_those_that_django_deletes(
    engine: Engine, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cascades, "_MAX_KEYS", most)
    for seed in range(examples(8)):
        fill(engine.alias, random.Random(seed))
        for model in (Parcel, HeavyParcel):
            rows: Any = model._default_manager.using(engine.alias).filter(age__lt=2)
            found = count_cascades(rows, count)
            total = Counter({table: number or 0 for table, number in found.counts.items()})
            total[model._meta.db_table] += rows.count()
            truth = deleted_by(rows)
            assert +total <= truth, f"seed {seed}"
            assert +total == truth or found.notes, f"seed {seed}"
            if most == 500:
                assert found.notes == (), f"seed {seed}"


@pytest.mark.slow
def test_rows_that_refuse_a_deletion_are_named(engine: Engine) -> None:
    using = engine.alias
    parcel = Parcel.objects.using(using).create(age=1)
    rows = Parcel.objects.using(using).all()
    tag = Tag.objects.using(using).create(first=parcel)
    Seal.objects.using(using).create(restricted=parcel, tag=tag)
    # It is deleted with the tag, and so refuses nothing.
    assert count_cascades(rows, count).warnings == ()
    assert deleted_by(rows)[Seal._meta.db_table] == 1
    Seal.objects.using(using).create(restricted=parcel)
    Seal.objects.using(using).create(protected=parcel)
    Seal.objects.using(using).create(protected=parcel)
    assert set(count_cascades(rows, count).warnings) == {
        "1 row of batchapp_seal protects rows of batchapp_parcel from deletion (RESTRICT)",
        "2 rows of batchapp_seal protect rows of batchapp_parcel from deletion (PROTECT)",
    }
    with pytest.raises(IntegrityError), transaction.atomic(using=using):
        rows.delete()


@pytest.mark.slow
def test_a_content_type_that_does_not_exist_yet_is_not_created(engine: Engine) -> None:
    Parcel.objects.using(engine.alias).create(age=1)
    ContentType.objects.using(engine.alias).all().delete()
    ContentType.objects.clear_cache()
    count_cascades(Parcel.objects.using(engine.alias).all(), count)
    assert not ContentType.objects.using(engine.alias).exists()
    connections[engine.alias].close()
