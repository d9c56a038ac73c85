"""The text of an option to its value, as argparse wants it: an ArgumentTypeError says what is wrong."""

from __future__ import annotations

from argparse import ArgumentTypeError
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, TypeVar

from django.core.management.base import CommandError

from django_runbook.document.scalars import parse_duration

T = TypeVar("T")


def given(options: Mapping[str, Any], name: str, parse: Callable[[str], T]) -> T | None:
    """The value of an option, which ``call_command(…, name=value)`` hands over as it is, past the parser."""
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
    """``90``, ``90s``, ``10m``, ``1h30m`` or ``2d`` in seconds."""
    seconds = parse_duration(text)
    if seconds is None:
        raise ArgumentTypeError(f'"{text}" is no duration; write it as in 90s, 10m, 1h30m or 2d')
    return seconds


def age(text: str) -> timedelta:
    """Read how old something must be to be deleted: a `duration` with a unit, since 90 is 90 days to most people."""
    seconds = duration(text)
    if text.replace(".", "", 1).isdecimal():
        raise ArgumentTypeError(f'"{text}" has no unit; write it as in {text}d for days, {text}h, {text}m or {text}s')
    try:
        return timedelta(seconds=seconds)
    except OverflowError:
        raise ArgumentTypeError(f'"{text}" is before the beginning of time') from None


def positive_age(text: str) -> timedelta:
    """Read an `age` that is longer than none."""
    found = age(text)
    if not found:
        raise ArgumentTypeError("must be longer than 0s")
    return found


def positive_duration(text: str) -> float:
    """A `duration` that is longer than none."""
    seconds = duration(text)
    if not seconds:
        raise ArgumentTypeError("must be longer than 0s")
    return seconds
