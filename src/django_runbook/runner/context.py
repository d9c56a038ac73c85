"""Defines how one run of a plan differs from another, and what a run needs from outside."""

from __future__ import annotations

import datetime
import random
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from django_runbook import events
from django_runbook.binding.binder import Binder
from django_runbook.cleaning import Mask
from django_runbook.document.runbook import CommandStep
from django_runbook.executors.base import Execute
from django_runbook.locks.base import Holder, Lock
from django_runbook.process.isolation import Isolation
from django_runbook.process.stopping import Stop
from django_runbook.results import Failure
from django_runbook.runner.past import Past
from django_runbook.runner.questions import Ask
from django_runbook.runner.recorder import NoRecorder, Recorder
from django_runbook.structs import Struct, field

if TYPE_CHECKING:
    from django_runbook.stopwatch import Stopwatch


class RunOptions(Struct):
    """Holds the choices of a person who starts a run, and what earlier attempts of it have completed.

    ``unselected`` maps the keys of unselected steps to the reason; ``lacks_dry_run`` holds the keys of steps that a dry
    run cannot call. ``attempt`` is the number of this attempt, and ``resume_command`` the command line that resumes
    the run, empty if it is not recorded.
    """

    unselected: Mapping[str, str] = field(default_factory=dict)
    lacks_dry_run: frozenset[str] = frozenset()
    is_dry_run: bool = False
    keeps_going: bool = False
    is_strict: bool = False
    answers_yes: bool = False
    asks_before_steps: bool = False
    past: Past = field(default_factory=Past)
    attempt: int = 1
    resume_command: str = ""


class RunContext(Struct):
    """Holds the services that a run calls.

    ``execute`` calls a command in this process, ``isolate`` in a process of its own, and ``isolation`` decides which of
    the two; ``enqueue`` calls one on a worker, and is None if steps with a queue run here. ``is_repeatable`` returns
    whether a call can be repeated after its death. ``new_lock`` makes the lock of a name, ``namespace`` keeps this
    project's locks apart, and ``find_call`` returns the worker that still runs a call of a dead run under a lock.
    ``environ_of`` returns environment variables for the process of a step, by its id.
    Without ``waits_for_retries``, the next attempt of a step starts at once.
    ``failure_at_end`` returns what fails a run although none of its steps has failed.
    ``stopwatch`` measures the run if ``--timings`` asks for it.
    ``write_files`` writes the reports that are files, and returns an error for each that could not be written.
    """

    execute: Execute
    isolate: Execute | None
    enqueue: Execute | None = None
    is_repeatable: Callable[[CommandStep, Sequence[str]], bool] = lambda step, argv: False
    isolation: Isolation
    new_lock: Callable[[str], Lock]
    namespace: str = ""
    find_call: Callable[[str], Holder | None] = lambda name: None
    emit: events.Listener
    binder: Binder
    stop: Stop
    mask: Mask
    ask: Ask | None = None
    write_files: Callable[[events.RunFinished], tuple[str, ...]] = lambda event: ()
    environ_of: Callable[[str], Mapping[str, str]] = lambda step_id: {}
    waits_for_retries: bool = True
    failure_at_end: Callable[[], Failure | None] = lambda: None
    recorder: Recorder = field(default_factory=NoRecorder)
    stopwatch: Stopwatch | None = None
    clock: Callable[[], datetime.datetime] = lambda: datetime.datetime.now(datetime.UTC)
    rng: random.Random = field(default_factory=random.Random)
