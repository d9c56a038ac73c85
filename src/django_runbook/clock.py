"""Reads the clock in the time zone of the project."""

from __future__ import annotations

import datetime

from django.utils import timezone


def now() -> datetime.datetime:
    """Return the current time in the time zone of the project."""
    return timezone.localtime(datetime.datetime.now(datetime.UTC))
