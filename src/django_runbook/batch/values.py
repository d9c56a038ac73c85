"""The text of an option to its value, as argparse wants it: an ArgumentTypeError says what is wrong."""

from __future__ import annotations

from argparse import ArgumentTypeError

from django_runbook.document.scalars import parse_duration


def duration(text: str) -> float:
    """``90``, ``90s``, ``10m``, ``1h30m`` or ``2d`` in seconds."""
    seconds = parse_duration(text)
    if seconds is None:
        raise ArgumentTypeError(f'"{text}" is no duration; write it as in 90s, 10m, 1h30m or 2d')
    return seconds


def positive_duration(text: str) -> float:
    """A `duration` that is longer than none."""
    seconds = duration(text)
    if not seconds:
        raise ArgumentTypeError("must be longer than 0s")
    return seconds
