"""Adds ``--param`` to a command, and reads its values."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Sequence

from django_runbook.exceptions import InvalidUsage


def add_param_option(parser: ArgumentParser) -> None:
    """Add the option to a parser."""
    parser.add_argument(
        "--param", action="append", default=[], metavar="NAME=VALUE", help="Set a parameter; may be repeated."
    )


def parse_params(texts: Sequence[str]) -> dict[str, str]:
    """Return the values of the option by the names of their parameters; raise InvalidUsage for an invalid one."""
    given: dict[str, str] = {}
    # The values are not quoted: they may hold secrets, which are unknown before the file has been read.
    for number, text in enumerate(texts, start=1):
        name, separator, value = text.partition("=")
        if not separator or not name:
            raise InvalidUsage(f"--param: value number {number} is not NAME=VALUE")
        if name in given:
            raise InvalidUsage(f"--param: value number {number} sets a parameter that is already set")
        given[name] = value
    return given
