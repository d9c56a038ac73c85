"""The base of commands that only say what reached them."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

# What differs by design between a call from a command line and one from Python.
NOT_COMPARED = frozenset(("stdout", "stderr", "skip_checks", "stopping"))
RECEIVED: list[tuple[tuple[Any, ...], dict[str, Any]]] = []


class ParsingCommand(BaseCommand):
    """Appends its arguments to `RECEIVED`."""

    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        RECEIVED.append((args, {name: value for name, value in options.items() if name not in NOT_COMPARED}))
