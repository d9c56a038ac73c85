"""The cached statements read and write what the ORM does."""

from __future__ import annotations

import pytest
from django.forms.models import model_to_dict
from django.utils import timezone

from django_runbook.models import statements
from django_runbook.models.calls import Call, CallOutput
from tests.journal_data import new_run
from tests.queues.calls_data import add_call

pytestmark = pytest.mark.django_db
ALIAS = "default"


def test_a_row_is_read_as_the_orm_reads_it() -> None:
    call = add_call(new_run(), tokens=[["TOKEN"], "a"], is_hidden=True, timeout_seconds=1.5, claimed_at=timezone.now())
    (found,) = statements.select(Call, {"id": call.pk}, using=ALIAS)
    assert model_to_dict(found) == model_to_dict(Call.objects.get())
    assert (found.is_hidden, found.tokens, found.run_id) == (True, [["TOKEN"], "a"], call.run_id)


def test_a_condition_has_one_value_or_several() -> None:
    run = new_run()
    calls = [add_call(run, status, status=status) for status in ("queued", "running", "done")]
    found = statements.select(Call, {"run": run.pk, "status": ("queued", "running")}, using=ALIAS)
    assert {one.pk for one in found} == {one.pk for one in calls[:2]}
    assert statements.select(Call, {"run": "another", "status": ("queued",)}, using=ALIAS) == []


def test_other_columns_are_read_when_they_are_used() -> None:
    call = add_call(new_run(), host="desk-7")
    (found,) = statements.select(Call, {"id": call.pk}, names=("id", "status"), using=ALIAS)
    assert found.get_deferred_fields() >= {"host", "tokens"}
    assert found.host == "desk-7"


def test_a_row_is_inserted_with_its_own_key_or_with_a_generated_one() -> None:
    run = new_run()
    call = Call(id="c", run=run, step_id="one", attempt=1, engine="e", queue="q", command="noop", tokens=["a"])
    statements.insert(call, using=ALIAS)
    assert model_to_dict(Call.objects.get()) == model_to_dict(call)
    part = CallOutput(call=call, number=1, lines=[["stdout", "a"]])
    statements.insert(part, using=ALIAS)
    assert CallOutput.objects.get().pk == part.pk
