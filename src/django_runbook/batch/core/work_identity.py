"""Identifies a piece of work by its command, database, source and options."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from django.core.management.base import CommandError

from django_runbook.batch.core.batch_options import BatchOptions
from django_runbook.batch.core.store import Identity, digest

_MAX_COMMAND_LENGTH = 150


def identify(
    *,
    module: str,
    command: str,
    database: str,
    description: str,
    cursor_options: Mapping[str, Any],
    options: BatchOptions,
) -> Identity:
    """Return the identity of a command's work; raises CommandError for an option that has no stable value."""
    meaning = {
        "command": module,
        "database": database,
        "source": description,
        "options": {name: _stable_text(name, value) for name, value in cursor_options.items()},
    }
    return Identity(
        command=command[:_MAX_COMMAND_LENGTH],
        description=description,
        scope=digest(json.dumps(meaning, sort_keys=True)),
        shard=str(options.shard),
        run_key=options.run_key,
        call_key=options.call_key,
    )


def _stable_text(name: str, value: Any) -> str:
    """Format the value of an option as text that is the same in every process."""

    def to_json(part: Any) -> Any:
        if isinstance(part, set | frozenset):
            return sorted(json.dumps(one, sort_keys=True, default=to_json) for one in part)
        module, qualified = getattr(part, "__module__", None), getattr(part, "__qualname__", "")
        # A lambda or a closure has no importable name, so it differs in each process.
        if callable(part) and module and qualified and "<" not in qualified:
            return f"{module}.{qualified}"
        text = str(part)
        if " at 0x" in text and not isinstance(part, os.PathLike):
            raise CommandError(
                f'the option "{name}" has the value {text}, which differs in each process, so that no run could '
                "continue an interrupted one: override cursor_options() to leave it out or to convert it to text"
            )
        return text

    return json.dumps(value, sort_keys=True, default=to_json)
