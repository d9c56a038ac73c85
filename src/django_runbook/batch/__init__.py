"""The command library: what a project's own commands are made of, with or without a runbook.

A name is imported when it is asked for: those of batches need Django's models, and ``track`` needs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from django_runbook.batch.command import BatchCommand
    from django_runbook.batch.database import DatabaseCommand
    from django_runbook.batch.files import FileBatchCommand
    from django_runbook.batch.graceful import GracefulCommand
    from django_runbook.batch.progress import ProgressCommand, track

__all__ = [
    "BatchCommand",
    "DatabaseCommand",
    "FileBatchCommand",
    "GracefulCommand",
    "ProgressCommand",
    "track",
]

_ROOMS: Final = {
    "BatchCommand": "command",
    "DatabaseCommand": "database",
    "FileBatchCommand": "files",
    "GracefulCommand": "graceful",
    "ProgressCommand": "progress",
    "track": "progress",
}


def __getattr__(name: str) -> Any:
    if name not in _ROOMS:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    return getattr(import_module(f"{__name__}.{_ROOMS[name]}"), name)
