"""Reads the clock in the time zone of the project."""

from __future__ import annotations

import datetime

from django.utils import timezone


def now() -> datetime.datetime:
    """Return the current time in the time zone of the project."""
    return timezone.localtime(datetime.datetime.now(datetime.UTC))


def later(at: datetime.datetime, seconds: float) -> datetime.datetime:
    """Return the time after this many seconds, in the same time zone, also if its clocks change in between."""
    return (at.astimezone(datetime.UTC) + datetime.timedelta(seconds=seconds)).astimezone(at.tzinfo)
