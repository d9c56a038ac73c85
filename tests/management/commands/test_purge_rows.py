"""Rows in the database, deleted rows and a summary out."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, User
from django.contrib.contenttypes.models import ContentType
from django.contrib.sessions.models import Session
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import OperationalError
from django.db.models import PROTECT, Q, QuerySet
from django.db.models.signals import post_delete
from django.utils import timezone

from django_runbook.batch.core import retrying
from django_runbook.management import purge_conditions as conditions
from django_runbook.management.commands import purge_rows
from django_runbook.models.checkpoints import Checkpoint
from flights.models import Compensation, Flight
from tests.testapp.models import Node

pytestmark = pytest.mark.django_db

SESSIONS = ("sessions.Session", "--field=expire_date", "--older-than=90d")
USERS = ("auth.User", "--field=last_login", "--older-than=1d")


def purge(*tokens: str, command: BaseCommand | str = "purge_rows") -> str:
    stdout = io.StringIO()
    call_command(command, *tokens, stdout=stdout, stderr=io.StringIO())
    return stdout.getvalue()


def add_sessions(*ages: int) -> None:
    for age in ages:
        expire_date = timezone.now() - timedelta(days=age)
        Session.objects.create(session_key=f"{age} days", session_data="", expire_date=expire_date)


def add_user(name: str, **values: Any) -> User:
    return User.objects.create(username=name, last_login=timezone.now() - timedelta(days=7), **values)


def add_log_entries(user: User, count: int) -> None:
    kind = ContentType.objects.get_for_model(User)
    for _ in range(count):
        LogEntry.objects.create(user=user, content_type=kind, action_flag=1, object_repr="x")


def add_flight(number: int, *, age: int) -> Flight:
    moment = timezone.now() - timedelta(days=age)
    return Flight.objects.create(
        carrier="UA",
        number=number,
        distance_miles=1,
        day=timezone.localdate(moment),
        scheduled_at=moment,
    )


@contextmanager
def signals_of(model: Any) -> Iterator[list[object]]:
    seen: list[object] = []

    def note(instance: Any, **kwargs: Any) -> None:
        seen.append(instance.pk)

    post_delete.connect(note, sender=model)
    try:
        yield seen
    finally:
        post_delete.disconnect(note, sender=model)


def test_old_rows_are_deleted_and_others_are_kept() -> None:
    add_sessions(1, 89, 91, 92, 400)
    assert purge(*SESSIONS, "--batch-size=2") == "deleted 3 sessions.Session\n"
    assert {session.pk for session in Session.objects.all()} == {"1 days", "89 days"}
    assert not Checkpoint.objects.exists()


def test_no_old_rows_are_reported_too() -> None:
    add_sessions(1)
    assert purge(*SESSIONS) == "deleted 0 sessions.Session\n"


def test_rows_without_a_value_are_kept() -> None:
    User.objects.create(username="never", last_login=None)
    add_user("once")
    assert purge(*USERS) == "deleted 1 auth.User\n"
    assert User.objects.get().username == "never"


def test_rows_of_an_old_day_are_deleted() -> None:
    for number, age in enumerate((0, 2, 3, 4)):
        add_flight(number, age=age)
    assert purge("flights.Flight", "--field=day", "--older-than=2d") == "deleted 2 flights.Flight\n"
    assert Flight.objects.count() == 2


def test_days_are_those_of_the_time_zone() -> None:
    now = datetime(2026, 1, 10, 12, tzinfo=UTC)
    with timezone.override("Pacific/Kiritimati"):  # where it is the 11th
        assert conditions.older_than(Flight, "day", age=timedelta(days=1), now=now) == Q(day__lt=date(2026, 1, 10))


def test_without_time_zones_days_are_those_of_the_clock() -> None:
    now = datetime(2026, 1, 10, 12)  # noqa: DTZ001 - as a project without time zones has it
    assert conditions.older_than(Flight, "day", age=timedelta(days=1), now=now) == Q(day__lt=date(2026, 1, 9))


@pytest.mark.django_db(transaction=True)  # the count is of what is committed
def test_cascading_rows_are_deleted_with_their_signals_and_counted() -> None:
    add_log_entries(add_user("ada"), 3)
    add_log_entries(add_user("bob"), 2)
    with signals_of(LogEntry) as seen:
        assert purge(*USERS, "--batch-size=1") == "deleted 2 auth.User, 5 admin.LogEntry\n"
    assert len(seen) == 5
    assert not LogEntry.objects.exists()


class BreaksOff(purge_rows.Command):
    """Loses its connection once, after a batch and before its commit."""

    is_broken = False

    def process_batch(self, rows: QuerySet[Any]) -> int | None:
        count = super().process_batch(rows)
        if not self.is_broken:
            self.is_broken = True
            raise OperationalError("the connection is gone")
        return count


@pytest.mark.django_db(transaction=True)
def test_a_retried_batch_counts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrying, "_FIRST_DELAY_SECONDS", 0.001)
    add_log_entries(add_user("ada"), 3)
    assert purge(*USERS, command=BreaksOff()) == "deleted 1 auth.User, 3 admin.LogEntry\n"


class Marked(QuerySet[Session]):
    """Marks rows instead of deleting them, and returns another result."""

    def delete(self) -> Any:
        return self.update(session_data="deleted", expire_date=timezone.now())


class MarksSessions(purge_rows.Command):
    def get_queryset(self) -> QuerySet[Any]:
        return Marked(Session).filter(self._condition)


def test_a_custom_queryset_delete_is_called() -> None:
    add_sessions(1, 100)
    assert purge(*SESSIONS, command=MarksSessions()) == "deleted 1 sessions.Session\n"
    assert Session.objects.get(session_data="deleted").pk == "100 days"


def test_rows_inserted_before_the_cursor_are_found() -> None:
    def add_one_more(instance: Session, **kwargs: Any) -> None:
        if instance.pk == "200 days":
            add_sessions(100)

    add_sessions(200, 300)
    post_delete.connect(add_one_more, sender=Session)
    try:
        assert purge(*SESSIONS, "--batch-size=1") == "deleted 3 sessions.Session\n"
    finally:
        post_delete.disconnect(add_one_more, sender=Session)


def test_what_a_run_passes_to_the_command_does_not_change_its_work() -> None:
    command = purge_rows.Command()
    passed = {"would_delete": print, "mask_secrets": str, "call_key": "run:step"}
    call_command(command, *SESSIONS, stdout=io.StringIO(), **passed)
    assert passed.keys() & command.cursor_options().keys() == set()


def test_a_dry_run_counts_the_same_deletes_nothing_and_sends_no_signals() -> None:
    add_log_entries(add_user("ada"), 3)
    add_sessions(100)
    with signals_of(LogEntry) as seen:
        assert purge(*USERS, "--dry-run") == "would delete 1 auth.User, 3 admin.LogEntry\n"
    assert seen == []
    assert purge(*SESSIONS, "--dry-run") == "would delete 1 sessions.Session\n"
    assert (User.objects.count(), LogEntry.objects.count(), Session.objects.count()) == (1, 3, 1)


def test_the_help_describes_the_dry_run() -> None:
    text = " ".join(purge_rows.Command().create_parser("manage.py", "purge_rows").format_help().split())
    assert "Count the rows that would be deleted, and delete nothing." in text
    assert "roll back each transaction" not in text


def test_a_dry_run_counts_a_cascading_row_once() -> None:
    old, new = timezone.now() - timedelta(days=9), timezone.now()
    for _ in range(3):
        root = Node.objects.create(made_at=old)
        for made_at in (old, new):
            Node.objects.create(parent=root, made_at=made_at)
    tokens = ("testapp.Node", "--field=made_at", "--older-than=1d", "--batch-size=1")
    assert purge(*tokens, "--dry-run") == "would delete 9 testapp.Node\n"
    assert purge(*tokens) == "deleted 9 testapp.Node\n"


@pytest.fixture
def _is_protected(monkeypatch: pytest.MonkeyPatch) -> None:
    relation: Any = Compensation._meta.get_field("flight").remote_field
    monkeypatch.setattr(relation, "on_delete", PROTECT)


@pytest.mark.usefixtures("_is_protected")
@pytest.mark.parametrize("tokens", [(), ("--dry-run",)], ids=["in earnest", "dry run"])
def test_a_protected_row_stops_the_command_and_is_named(tokens: tuple[str, ...]) -> None:
    flight = add_flight(1, age=9)
    Compensation.objects.create(flight=flight, amount_cents=5)
    with pytest.raises(CommandError, match=rf"flights\.Flight {flight.pk}: IntegrityError: Cannot delete some"):
        purge("flights.Flight", "--field=day", "--older-than=2d", *tokens)
    assert Flight.objects.count() == 1


@pytest.mark.usefixtures("_is_protected")
def test_protected_rows_can_be_tolerated() -> None:
    for number in range(5):
        flight = add_flight(number, age=9)
    Compensation.objects.create(flight=flight, amount_cents=5)
    with pytest.raises(CommandError, match="1 failed"):
        purge("flights.Flight", "--field=day", "--older-than=2d", "--max-errors=2")
    assert Flight.objects.get() == flight


@pytest.mark.parametrize(
    ("condition", "left"),
    [
        pytest.param("username=ada", ["bob", "eve"], id="a value"),
        pytest.param("username__in=ada,eve", ["bob"], id="several values"),
        pytest.param("is_active=false", ["ada", "eve"], id="false"),
        pytest.param("is_active=True", ["bob"], id="true"),
        pytest.param("email__isnull=true", ["ada", "bob", "eve"], id="without a value"),
        pytest.param("username__startswith=e", ["ada", "bob"], id="a lookup"),
        pytest.param("email=a=b", ["bob", "eve"], id="an equals sign in the value"),
        pytest.param("date_joined__year__gte=2000", [], id="a transform"),
    ],
)
def test_conditions_are_lookups(condition: str, left: list[str]) -> None:
    add_user("ada", email="a=b")
    add_user("bob", is_active=False)
    add_user("eve")
    purge(*USERS, "--where", condition)
    assert sorted(User.objects.values_list("username", flat=True)) == left


def test_several_conditions_must_all_match() -> None:
    add_user("ada", is_staff=True)
    add_user("bob", is_staff=True, is_active=False)
    add_user("eve")
    User.objects.create(username="new", is_staff=True, last_login=timezone.now())
    assert purge(*USERS, "--where=is_staff=true", "--where=is_active=true") == "deleted 1 auth.User\n"


def test_conditions_follow_relations() -> None:
    entries = ("admin.LogEntry", "--field=action_time", "--older-than=1s", "--where=user__is_active=false")
    add_log_entries(add_user("ada"), 1)
    add_log_entries(add_user("bob", is_active=False), 2)
    LogEntry.objects.update(action_time=timezone.now() - timedelta(days=1))
    assert purge(*entries, "--batch-size=1") == "deleted 2 admin.LogEntry\n"


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        pytest.param(
            "sessions.Sesion", 'unknown model "sessions.Sesion"; did you mean "sessions.Session"?', id="model"
        ),
        pytest.param(
            "nothing", 'unknown model "nothing"; pass APP.MODEL, for example sessions.Session', id="no model at all"
        ),
        pytest.param("auth.User --field=last_logn", 'no field "last_logn"; did you mean "last_login"?', id="field"),
        pytest.param("auth.User --field=zzz", 'no field "zzz"; choose from id, password, last_login', id="no field"),
        pytest.param("auth.User --field=username", "auth.User.username is not a date or time", id="no date"),
        pytest.param("auth.User --field=groups", "auth.User.groups is not a column of auth.User", id="many to many"),
        pytest.param("auth.User --field=logentry", "auth.User.logentry is not a column of auth.User", id="reverse"),
        pytest.param(
            "admin.LogEntry --field=user__date_joined", "is not a field of admin.LogEntry itself", id="related"
        ),
        pytest.param("auth.User --older-than=0d", "must be longer than 0s", id="no time"),
        pytest.param("auth.User --older-than=900000d", "--older-than is too long", id="too long"),
        pytest.param("auth.User --older-than=99999999999d", "is too long", id="far too long"),
        pytest.param("auth.User --older-than=90", '"90" has no unit; use 90d for days', id="no unit"),
        pytest.param("auth.User --older-than=1.5", '"1.5" has no unit', id="no unit, with a fraction"),
        pytest.param("auth.User --older-than=ages", '"ages" is not a duration', id="no duration"),
        pytest.param("auth.User --where=is_active", '"is_active" is not a condition', id="no value"),
        pytest.param("auth.User --where==3", '"=3" is not a condition', id="no name"),
        pytest.param("auth.User --where=naem=x", 'auth.User has no field "naem"', id="condition on no field"),
        pytest.param("auth.User --where=id=x", "expected a number but got 'x'", id="value of another type"),
        pytest.param("auth.User --where=is_active=maybe", "“maybe” value must be either True or False", id="no truth"),
        pytest.param("auth.User --where=last_login__lt=soon", "“soon” value has an invalid format", id="no moment"),
        pytest.param("auth.User --where=username__beginswith=x", "Unsupported lookup 'beginswith'", id="no lookup"),
        pytest.param("auth.User --where=groups__name=x", "a row could match several times", id="many rows"),
        pytest.param("admin.LogEntry --where=user__groups=x", "a row could match several times", id="further on"),
    ],
)
def test_an_invalid_condition_is_refused_before_a_row_is_deleted(tokens: str, message: str) -> None:
    add_user("ada").groups.add(Group.objects.create(name="x"))
    given = tokens.split()
    defaults = {"--field": "--field=last_login", "--older-than": "--older-than=1d"}
    if given[0] == "admin.LogEntry":
        defaults["--field"] = "--field=action_time"
    given += [token for name, token in defaults.items() if not any(word.startswith(name) for word in given)]
    with pytest.raises(CommandError) as caught:
        purge(*given)
    assert message in str(caught.value)
    assert User.objects.count() == 1


def test_two_models_can_be_purged_at_the_same_time() -> None:
    command = purge_rows.Command()
    session, site = conditions.parse_model("sessions.Session"), conditions.parse_model("sites.Site")
    names = {command.get_lock_name(model=model, dry_run=False) for model in (session, site, session)}
    assert len(names) == 2
    assert command.get_lock_name(model=site, dry_run=True) is None
