"""The command library: what a project's own commands are made of, with or without a runbook.

A name is imported when it is asked for: those of batches need Django's models, and ``track`` needs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from django_runbook.batch.batch_command import BatchCommand
    from django_runbook.batch.file_batch_command import FileBatchCommand
    from django_runbook.batch.parts.database_command import DatabaseCommand
    from django_runbook.batch.parts.graceful_command import GracefulCommand
    from django_runbook.batch.parts.locked_command import LockedCommand
    from django_runbook.batch.parts.progress_command import ProgressCommand, track

__all__ = [
    "BatchCommand",
    "DatabaseCommand",
    "FileBatchCommand",
    "GracefulCommand",
    "LockedCommand",
    "ProgressCommand",
    "track",
]

_ROOMS: Final = {
    "BatchCommand": "batch_command",
    "DatabaseCommand": "parts.database_command",
    "FileBatchCommand": "file_batch_command",
    "GracefulCommand": "parts.graceful_command",
    "LockedCommand": "parts.locked_command",
    "ProgressCommand": "parts.progress_command",
    "track": "parts.progress_command",
}


def __getattr__(name: str) -> Any:
    if name not in _ROOMS:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    return getattr(import_module(f"{__name__}.{_ROOMS[name]}"), name)
