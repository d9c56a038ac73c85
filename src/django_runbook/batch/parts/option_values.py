"""Converts strings of options to values, and raises ArgumentTypeError as argparse expects."""

from __future__ import annotations

from argparse import ArgumentTypeError
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, TypeVar

from django.core.management.base import CommandError

from django_runbook.document.syntax.scalars import parse_duration

T = TypeVar("T")


def option_value(options: Mapping[str, Any], name: str, parse: Callable[[str], T]) -> T | None:
    """Return the value of an option, which ``call_command(…, name=value)`` passes without parsing it."""
    value = options.get(name)
    if value is None or value == "":
        return None
    if not isinstance(value, str | int | float):
        parsed: T = value
        return parsed
    try:
        return parse(str(value))
    except ArgumentTypeError as error:
        raise CommandError(f"--{name.replace('_', '-')}: {error}") from error


def duration(text: str) -> float:
    """Parse ``90``, ``90s``, ``10m``, ``1h30m`` or ``2d`` into seconds."""
    seconds = parse_duration(text)
    if seconds is None:
        raise ArgumentTypeError(f'"{text}" is not a duration (examples: 90s, 10m, 1h30m, 2d)')
    return seconds


def age(text: str) -> timedelta:
    """Parse an age: a duration that must have a unit, because most people read 90 as 90 days."""
    return _with_unit(text, too_long="is too long: no date is that old")


def runtime(text: str) -> timedelta:
    """Parse a time to run, longer than zero and with a unit, because 2 may mean seconds or hours."""
    found = _with_unit(text, too_long="is too long")
    if not found:
        raise ArgumentTypeError("must be longer than 0s")
    return found


def positive_age(text: str) -> timedelta:
    """Parse an age that is longer than zero."""
    found = age(text)
    if not found:
        raise ArgumentTypeError("must be longer than 0s")
    return found


def positive_duration(text: str) -> float:
    """Parse a duration that is longer than zero."""
    seconds = duration(text)
    if not seconds:
        raise ArgumentTypeError("must be longer than 0s")
    return seconds


def _with_unit(text: str, *, too_long: str) -> timedelta:
    seconds = duration(text)
    if text.replace(".", "", 1).isdecimal():
        raise ArgumentTypeError(f'"{text}" has no unit; use {text}d for days, {text}h, {text}m or {text}s')
    try:
        return timedelta(seconds=seconds)
    except OverflowError:
        raise ArgumentTypeError(f'"{text}" {too_long}') from None
