"""Compares the code of a worker with that of the run."""

from __future__ import annotations

import enum
import sys
from functools import cache
from pathlib import Path
from typing import Final

from django.conf import settings

from django_runbook import conf
from django_runbook.calls import Call
from django_runbook.git_commit import commit_of

_MAX_REFUSALS: Final = 3


class VersionRefusal(enum.Enum):
    """Names what a worker with other code does with a call: another worker may have the right code."""

    RELEASE = "release"
    FAIL = "fail"


def own_version() -> str:
    """Return the version of the code of this process; empty if it is unknown."""
    return conf.read().queue.version or _commit()


def refusal_of(call: Call) -> VersionRefusal | None:
    """Return what to do with a call of other code; None to run it."""
    if not conf.read().queue.refuses_other_version or not _differs(call):
        return None
    return VersionRefusal.RELEASE if call.refusal_count < _MAX_REFUSALS else VersionRefusal.FAIL


def warning_of(call: Call) -> str:
    """Return the warning about a call of other code that runs anyway; empty for the same code."""
    return message_of(call) if _differs(call) else ""


def message_of(call: Call) -> str:
    """Name both versions."""
    return f'the worker has the code "{own_version()}", and the run has "{call.version}"'


def _differs(call: Call) -> bool:
    own = own_version()
    return bool(own and call.version) and own != call.version


@cache
def _commit() -> str:
    """Return the commit of the settings of the project."""
    module = sys.modules.get(getattr(settings, "SETTINGS_MODULE", None) or "")
    file = getattr(module, "__file__", None)
    return commit_of(Path(file).resolve().parent) if file else ""
