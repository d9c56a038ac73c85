"""Provides base classes for management commands: graceful stop, locks, progress, databases and batches.

Names are imported on first use: those of batches need Django's models, and ``track`` does not.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from django_runbook.batch.batch_command import BatchCommand
    from django_runbook.batch.core.batch_result import BatchResult
    from django_runbook.batch.file_batch_command import FileBatchCommand
    from django_runbook.batch.parts.database_command import DatabaseCommand
    from django_runbook.batch.parts.graceful_command import GracefulCommand
    from django_runbook.batch.parts.locked_command import LockedCommand
    from django_runbook.batch.parts.progress_command import ProgressCommand
    from django_runbook.batch.parts.progress_tracking import track

__all__ = [
    "BatchCommand",
    "BatchResult",
    "DatabaseCommand",
    "FileBatchCommand",
    "GracefulCommand",
    "LockedCommand",
    "ProgressCommand",
    "track",
]

_MODULES: Final = {
    "BatchCommand": "batch_command",
    "BatchResult": "core.batch_result",
    "DatabaseCommand": "parts.database_command",
    "FileBatchCommand": "file_batch_command",
    "GracefulCommand": "parts.graceful_command",
    "LockedCommand": "parts.locked_command",
    "ProgressCommand": "parts.progress_command",
    "track": "parts.progress_tracking",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
