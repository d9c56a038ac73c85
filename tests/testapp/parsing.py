"""The base of commands that only say what reached them."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

from django.core.management.base import BaseCommand

# What differs by design between a call from a command line and one from Python.
_NOT_COMPARED = frozenset(("stdout", "stderr", "skip_checks", "stopping"))
RECEIVED: list[tuple[tuple[Any, ...], dict[str, Any]]] = []


def received(args: tuple[Any, ...], options: Mapping[str, Any]) -> None:
    """Note what a command got; of a file that was opened, its name."""
    named = {name: value for name, value in options.items() if name not in _NOT_COMPARED}
    for name, value in named.items():
        if isinstance(value, io.TextIOWrapper):
            named[name] = value.name
            value.close()
    RECEIVED.append((args, named))


class ParsingCommand(BaseCommand):
    """Notes its arguments."""

    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        received(args, options)
