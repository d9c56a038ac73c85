"""Adds flights for the tests of commands."""

from __future__ import annotations

import datetime

from flights.models import Flight


def add_flights(count: int) -> None:
    at = datetime.datetime(2013, 1, 1, 12, tzinfo=datetime.UTC)
    for number in range(count):
        Flight.objects.create(scheduled_at=at, day=at.date(), number=number, distance_miles=800)
