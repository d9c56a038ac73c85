"""Defines what the stages of a run pass on: each takes the results of the stages before it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from django_runbook.binding.binder import Binder
from django_runbook.checking import Loaded
from django_runbook.conf import Configuration
from django_runbook.document.runbook import Runbook
from django_runbook.locks.factory import Locks
from django_runbook.planning.plan import Plan
from django_runbook.planning.selection import Selection
from django_runbook.process.isolation import Isolation
from django_runbook.runner.context import RunOptions
from django_runbook.stages.console import Console
from django_runbook.stages.request import RunRequest
from django_runbook.structs import Struct, field

if TYPE_CHECKING:
    from django_runbook.configured_reporters import ConfiguredReporter
    from django_runbook.executors.spawner import Spawner
    from django_runbook.forecasts.subject import Subject
    from django_runbook.journal.listener import Journal
    from django_runbook.stopwatch import Stopwatch


class Launch(Struct):
    """Holds one request, what surrounds it, and the stack that closes what the run opens."""

    request: RunRequest
    console: Console
    stopwatch: Stopwatch | None = None
    stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)


class Opened(Struct):
    """Holds the file of a request, read and free of errors of form, and how its project names and locks it."""

    configuration: Configuration
    path: Path
    key: str
    new_lock: Locks
    loaded: Loaded
    runbook: Runbook


class Processes(Struct):
    """Decides where steps run, and holds what starts their processes, if any may run in one."""

    isolation: Isolation
    spawner: Spawner | None


class Bound(Struct):
    """Holds a plan that may run; ``unselected`` maps the steps that are not selected to the reason.

    ``reporters`` are those of the project's settings that the runbook chooses.
    """

    plan: Plan
    binder: Binder
    selection: Selection
    unselected: Mapping[str, str]
    lacks_dry_run: frozenset[str]
    reporters: Sequence[ConfiguredReporter] = ()


class Recorded(Struct):
    """Holds the journal of a run, None if it is not recorded, and the options for the runner.

    ``new_subject`` describes the run for the comparison with earlier runs.
    """

    journal: Journal | None
    options: RunOptions
    new_subject: Callable[[], Subject] | None = None
