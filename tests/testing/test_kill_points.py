from __future__ import annotations

import time
from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from django_runbook.batch import BatchCommand
from django_runbook.testing import kill_points
from flights.models import Flight
from tests.testing.flights import add_flights

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]
OPTIONS: dict[str, Any] = {"batch_size": 2, "stdout": StringIO(), "stderr": StringIO()}


class Estimate(BatchCommand):
    """Estimates the air time, once for each flight."""

    is_todo = True

    def get_queryset(self) -> Any:
        return Flight.objects.filter(air_time_minutes=None)

    def process_item(self, flight: Flight) -> None:
        flight.air_time_minutes = 20
        flight.save(update_fields=["air_time_minutes"])


class Careless(BaseCommand):
    """Adds a minute to each flight, and forgets which it has done."""

    def handle(self, *args: Any, **options: Any) -> None:
        for flight in Flight.objects.all():
            flight.air_time_minutes = (flight.air_time_minutes or 0) + 1
            flight.save()


def other(handle: Callable[[], object]) -> BaseCommand:
    made: BaseCommand = type("Command", (BaseCommand,), {"handle": lambda self, *args, **options: handle()})()
    return made


def times() -> list[int | None]:
    return sorted(Flight.objects.values_list("air_time_minutes", flat=True), key=str)


def test_a_batch_command_can_be_called_again_after_any_statement() -> None:
    add_flights(3)
    points = []
    for point in kill_points(Estimate(), every=3, **OPTIONS):
        points.append(point)
        call_command(Estimate(), **OPTIONS)
        assert times() == [20, 20, 20]
        Flight.objects.update(air_time_minutes=None)
    assert len(points) > 3
    assert points[:3] == [1, 4, 7]
    # The last one was not killed.
    assert times() == [20, 20, 20]


def test_a_command_that_repeats_its_work_is_found() -> None:
    add_flights(2)
    found = set()
    for _ in kill_points(Careless()):
        call_command(Careless())
        found.add(tuple(times()))
        Flight.objects.update(air_time_minutes=None)
    assert (1, 2) in found


def test_an_error_of_the_command_fails_the_test() -> None:
    def fail() -> None:
        raise CommandError("no disk")

    with pytest.raises(AssertionError, match="CommandError: no disk"):
        list(kill_points(other(fail)))


def test_a_command_that_hangs_is_ended() -> None:
    with pytest.raises(AssertionError, match=r"the command has not ended after 0\.5 seconds"):
        list(kill_points(other(lambda: time.sleep(600)), timeout_seconds=0.5))


def test_a_command_without_statements_is_not_killed() -> None:
    assert list(kill_points(other(lambda: None))) == []


def test_a_transaction_is_refused() -> None:
    with transaction.atomic(), pytest.raises(RuntimeError, match="use a TransactionTestCase"):
        list(kill_points(other(lambda: None)))
