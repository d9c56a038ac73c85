"""Compares the code of a worker with that of the run."""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path

from django.conf import settings

from django_runbook import conf
from django_runbook.git_commit import commit_of
from django_runbook.models.calls import Call


def own_version() -> str:
    """Return the version of the code of this process; empty if it is unknown."""
    return conf.read().queue.version or _commit()


def is_refused(call: Call) -> bool:
    """Return whether this worker leaves a call of other code to other workers."""
    return conf.read().queue.refuses_other_version and _differs(call)


def warning_of(call: Call) -> str:
    """Return the warning about a call of other code that runs anyway; empty for the same code."""
    return f'the worker has the code "{own_version()}", and the run has "{call.version}"' if _differs(call) else ""


def _differs(call: Call) -> bool:
    own = own_version()
    return bool(own and call.version) and own != call.version


@cache
def _commit() -> str:
    """Return the commit of the settings of the project."""
    module = sys.modules.get(getattr(settings, "SETTINGS_MODULE", None) or "")
    file = getattr(module, "__file__", None)
    return commit_of(Path(file).resolve().parent) if file else ""
