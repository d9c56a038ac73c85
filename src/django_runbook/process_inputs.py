"""Defines what the process of a command gets besides its arguments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from django_runbook.structs import Struct, field


class ProcessInputs(Struct):
    """Holds what a process gets: ``stdin`` is the text of its standard input; None if that is empty.

    With ``env``, the command is started by the project's ``manage.py`` with these environment variables; None removes
    one.
    """

    stdin: str | None = None
    env: Mapping[str, str | None] = field(default_factory=dict)


NO_INPUTS: Final = ProcessInputs()
