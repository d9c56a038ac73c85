"""Defines what the process of a command gets besides its arguments."""

from __future__ import annotations

from typing import Final

from django_runbook.structs import Struct


class ProcessInputs(Struct):
    """Holds what a process gets: ``stdin`` is the text of its standard input; None if that is empty."""

    stdin: str | None = None


NO_INPUTS: Final = ProcessInputs()
