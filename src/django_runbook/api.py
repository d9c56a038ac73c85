"""Runs and checks runbooks from Python: the one place that puts the pieces of the package together.

`run_runbook` and `check_runbooks` read their options and call it, and so can a task, a view or a test.
"""

from __future__ import annotations

import contextlib
import os
import traceback
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from django.db import connections

from django_runbook import checking, clock, conf, lookup
from django_runbook.checking import Checked, Loaded
from django_runbook.conf import DEFAULT_STOP_TIMEOUT_SECONDS
from django_runbook.document import inputs
from django_runbook.document.diagnostics import Diagnostic, in_order
from django_runbook.document.outline import may_isolate
from django_runbook.document.runbook import Runbook
from django_runbook.exceptions import InvalidRunbook, InvalidUsage, RunbookError
from django_runbook.locks import factory as locks
from django_runbook.locks.watching import retaken
from django_runbook.planning import listing, selection
from django_runbook.planning.plan import plan
from django_runbook.process import isolation as process_isolation
from django_runbook.process import masking
from django_runbook.process.frozen_gc import frozen_gc
from django_runbook.process.stopping import Stop
from django_runbook.process.streams import clean_text
from django_runbook.reporters import Reporter
from django_runbook.results import RunResult, RunStatus, StepResult, StepStatus
from django_runbook.stages.console import Console, PythonConsole
from django_runbook.stages.error_notices import notified_errors
from django_runbook.stages.hosting import PreparedRun, execute
from django_runbook.stages.recording import is_recorded, record
from django_runbook.stages.request import NEWEST, RunRequest
from django_runbook.stages.stage_results import Bound, Launch, Opened, Processes, Recorded

if TYPE_CHECKING:
    from django_runbook.configured_reporters import ConfiguredReporter
    from django_runbook.resume.resumed_run import ResumedRun
    from django_runbook.stopwatch import Stopwatch

__all__ = [
    "NEWEST",
    "Checked",
    "Console",
    "InvalidRunbook",
    "InvalidUsage",
    "Reporter",
    "RunRequest",
    "RunResult",
    "RunStatus",
    "RunbookError",
    "StepResult",
    "StepStatus",
    "check",
    "describe",
    "list_steps",
    "run",
    "show_plan",
]


def run(request: RunRequest, *, reporters: Sequence[Reporter] = ()) -> RunResult:
    """Run a runbook; return the result, also of a run that failed.

    ``reporters`` get its events. Raises RunbookError if nothing was run (InvalidRunbook, InvalidUsage, LockHeld …), if
    the run could not be recorded to its end, or after an internal error, whose traceback is then the message.
    """
    console = PythonConsole(reporters)
    stop = new_stop(console)
    try:
        return run_on(console, request, stop=stop)
    except (RunbookError, OSError):
        raise
    except Exception:  # noqa: BLE001 - the traceback and the causes may hold secrets
        report = clean_text(traceback.format_exc(), console.mask)
        raise RunbookError(f"internal error of django-runbook:\n{report}") from None
    finally:
        # The host of this run, which had the signals before, receives them now.
        stop.hand_back()


def new_stop(console: Console) -> Stop:
    """Return what collects the requests to stop a run on this console."""
    return Stop(timeout_seconds=DEFAULT_STOP_TIMEOUT_SECONDS, exits=console.owns_process)


def run_on(console: Console, request: RunRequest, *, stop: Stop) -> RunResult:
    """Run a runbook on a console, as `run_runbook` does; the caller reports errors, and then hands signals back."""
    launch = Launch(request=request, console=console, stopwatch=_new_stopwatch(request, console))
    with frozen_gc(), _masked_errors(console), launch.stack:
        with notified_errors(launch) as known:
            opened = _open(launch)
            known.append(opened)
            stop.timeout_seconds = opened.configuration.stop_timeout_seconds
            processes = _choose_processes(launch, opened)
            resumed = _hold_resumed(launch, opened)
            bound = _bind(launch, opened, resumed, processes)
            recorded = record(launch, opened, bound, resumed)
            prepared = _prepared(launch, opened, processes, bound, recorded)
        if launch.stopwatch is not None:
            launch.stopwatch.end_check()
        return execute(prepared, console=console, stop=stop)


def _new_stopwatch(request: RunRequest, console: Console) -> Stopwatch | None:
    if not request.timings:
        return None
    # Only a run with --timings is measured.
    from django_runbook.stopwatch import Stopwatch, process_seconds

    return Stopwatch(start_up_seconds=process_seconds() if console.owns_process else None)


def show_plan(request: RunRequest, *, console: Console | None = None, estimates: bool = False) -> str:
    """Return each step of a runbook with its arguments, as ``run_runbook --plan`` prints them; nothing is run.

    With ``estimates``, each batch command has the rows of its work, which are counted in the database.
    """
    launch = Launch(request=request, console=PythonConsole() if console is None else console)
    with _masked_errors(launch.console), launch.stack:
        opened = _open(launch)
        bound = _bind(launch, opened, None, None)
        notes = _forecast_notes(launch, opened, bound)
        if estimates:
            # Other plans do not need it.
            from django_runbook.stages import estimating

            notes = estimating.with_estimates(
                notes,
                bound.plan,
                bound.unselected,
                runbook=opened.key,
                is_recorded=is_recorded(launch.request, opened),
            )
        return listing.show_plan(bound.plan, bound.unselected, mask=launch.console.mask, notes=notes)


def list_steps(request: RunRequest, *, console: Console | None = None) -> str:
    """Return the steps of a runbook with their ids and tags, as ``run_runbook --list`` prints them."""
    return _show(request, listing.list_steps, console)


def describe(file: str, *, console: Console | None = None) -> str:
    """Return the description, parameters and schedule of a runbook, as ``run_runbook --describe`` prints them."""
    # Other runs do not need it.
    from django_runbook import describing

    launch = Launch(request=RunRequest(file=file), console=PythonConsole() if console is None else console)
    with _masked_errors(launch.console), launch.stack:
        opened = _open(launch)
        _show_diagnostics(opened.loaded, opened.loaded.diagnostics, launch.console)
        lines = describing.as_lines(opened.runbook, now=clock.now())
        return "".join(f"{launch.console.mask(line)}\n" for line in lines)


def check(files: Collection[str] = ()) -> list[Checked]:
    """Check these runbooks, or all that the project has; return what was found in each. Nothing is run.

    Raises InvalidUsage if a file is not there, or a setting is wrong.
    """
    configuration = conf.read()
    paths = [lookup.find(name, configuration)[0] for name in files] or lookup.find_all(configuration)
    _make_reporters(configuration)
    binder = checking.new_binder(is_recorded=configuration.has_journal)
    return [checking.check(Path(path), binder=binder, configuration=configuration) for path in paths]


def _forecast_notes(launch: Launch, opened: Opened, bound: Bound) -> listing.PlanNotes:
    """Return what the run and its steps usually take, if runs of this kind are recorded."""
    if not is_recorded(launch.request, opened):
        return listing.PlanNotes()
    # Only the plan of a recorded run needs the folder `forecasts`.
    from django_runbook.forecasts.plan_forecast import forecast_plan

    forecast = forecast_plan(
        bound.plan,
        runbook=opened.key,
        unselected=bound.unselected,
        mask=launch.console.mask,
        using=conf.journal_alias(),
        warn=launch.console.warn,
    )
    if forecast is None:
        return listing.PlanNotes()
    return listing.PlanNotes(of_step=forecast.step_text, last_line=forecast.run_text)


def _show(request: RunRequest, show: Callable[..., str], console: Console | None) -> str:
    launch = Launch(request=request, console=PythonConsole() if console is None else console)
    with _masked_errors(launch.console), launch.stack:
        bound = _bind(launch, _open(launch), None, None)
        return show(bound.plan, bound.unselected, mask=launch.console.mask)


@contextlib.contextmanager
def _masked_errors(console: Console) -> Iterator[None]:
    """Mask what errors say; their causes may hold secrets and are dropped."""
    try:
        yield
    except RunbookError as error:
        error.args = (clean_text(str(error), console.mask),)
        raise error from None


def _open(launch: Launch) -> Opened:
    """Find and read the file; its secrets are masked from here on."""
    configuration = conf.read()
    path, name = lookup.find(launch.request.file, configuration)
    launch.request.refuse_combinations(has_journal=configuration.has_journal)
    new_lock = locks.new_factory(configuration, what=f"run_runbook {name}")
    loaded = checking.load(path, name=name, configuration=configuration)
    if loaded.runbook is None:
        _show_diagnostics(loaded, loaded.diagnostics, launch.console)
        raise InvalidRunbook(f"{loaded.path}: nothing was run")
    launch.console.mask = masking.masker(
        [*inputs.secrets_of(loaded.runbook, os.environ).values(), *configuration.hidden_values]
    )
    return Opened(
        configuration=configuration,
        path=path,
        key=lookup.key_of(path, configuration),
        new_lock=new_lock,
        loaded=loaded,
        runbook=loaded.runbook,
    )


def _choose_processes(launch: Launch, opened: Opened) -> Processes:
    """Decide where steps run, and start what forks them before anything connects to a database."""
    is_forkable = process_isolation.can_fork(owns_process=launch.console.owns_process)
    isolation = process_isolation.choose(
        is_inline=launch.request.inline, is_default=opened.configuration.isolates, is_forkable=is_forkable
    )
    if not isolation.is_possible:
        return Processes(isolation=isolation, spawner=None)
    # Its 15 modules would make every start in one process slower.
    from django_runbook.executors.spawner import Spawner

    spawner = Spawner(can_be_set_up=process_isolation.can_be_set_up())
    launch.stack.callback(spawner.close)
    needs_server = may_isolate(opened.runbook, is_default=isolation.is_default, uses_workers=not launch.request.dry_run)
    if needs_server and is_forkable:
        # An app may have queried the database when it became ready.
        connections.close_all()
        spawner.fork_server()
    elif needs_server:
        spawner.start_server()
    return Processes(isolation=isolation, spawner=spawner)


def _hold_resumed(launch: Launch, opened: Opened) -> ResumedRun | None:
    """Acquire the lock of the run to resume; return None for a new run."""
    if launch.request.resume is None:
        return None
    # Only a resumed run needs the folder `resume`, which would make every start slower.
    from django_runbook.resume import resumed_run

    resumed = resumed_run.acquire(
        opened.key,
        launch.request.resume,
        new_lock=opened.new_lock,
        on_retaken=lambda name: launch.console.warn(retaken(name)),
        on_wait=lambda holder: launch.console.warn(f"waiting for {holder}"),
    )
    launch.stack.callback(resumed.lock.close)
    return resumed


def _bind(launch: Launch, opened: Opened, resumed: ResumedRun | None, processes: Processes | None) -> Bound:
    """Check every step, or raise InvalidRunbook or InvalidUsage; a plan that is only shown has no ``processes``."""
    known = inputs.resolve(opened.runbook, _given(launch.request, opened.runbook, resumed))
    may_record = is_recorded(launch.request, opened)
    binder = checking.new_binder(
        is_recorded=may_record,
        verbosity=None if launch.request.verbosity == 1 else launch.request.verbosity,
    )
    earlier = {} if resumed is None else resumed.shard_counts
    # As the queue executor decides it.
    is_isolated = processes is None or processes.isolation.is_possible
    is_local = launch.request.dry_run or launch.request.inline or not is_isolated
    runbook = checking.with_shard_loops(
        opened.runbook,
        binder.catalog,
        opened.configuration,
        earlier=earlier,
        unfinished=lambda: _unfinished_shards(opened),
        uses_workers=not is_local,
    )
    lacking: frozenset[str] = frozenset()
    if launch.request.dry_run:
        # Other runs do not need it.
        from django_runbook.planning import dry_run

        runbook, lacking = dry_run.prepare(runbook, binder.catalog)
    planned = plan(runbook, known, binder)
    planned = checking.with_queues(planned, opened.configuration, is_recorded=may_record or launch.request.dry_run)
    planned = checking.with_reporters(planned, opened.configuration)
    planned = checking.with_own_environments(planned, None if processes is None else processes.isolation.reason)
    launch.console.mask = masking.masker([*known.all_secrets.values(), *opened.configuration.hidden_values])
    _show_diagnostics(opened.loaded, [*opened.loaded.diagnostics, *planned.diagnostics], launch.console)
    # A plan is also shown where the environment is not that of a run.
    allowed = ("env", "secret") if processes is None else ()
    if problems := [problem for problem in known.problems if problem.kind not in allowed]:
        raise InvalidUsage("\n".join(map(str, problems)))
    selected = launch.request.selection if resumed is None else resumed.selection
    return Bound(
        plan=planned,
        binder=binder,
        selection=selected,
        unselected=selection.unselected_steps(planned.outline, selected),
        lacks_dry_run=lacking,
        reporters=_make_reporters(opened.configuration, planned.runbook),
    )


def _unfinished_shards(opened: Opened) -> Mapping[str, int]:
    """Return how many shards each step has whose work earlier runs have left unfinished."""
    if not opened.configuration.has_journal:
        return {}
    # Only a step with "shards: auto" needs it.
    from django_runbook.journal.unfinished_shards import unfinished_shard_counts

    return unfinished_shard_counts(opened.key, using=conf.journal_alias())


def _given(request: RunRequest, runbook: Runbook, resumed: ResumedRun | None) -> inputs.GivenInputs:
    names = {"id": uuid.uuid4().hex, "name": runbook.name, "file": runbook.path}
    if resumed is None:
        return inputs.GivenInputs(params=request.params, environ=os.environ, now=clock.now(), run=names)
    return resumed.given(
        request.params,
        environ=os.environ,
        names=names,
        declared=[param.name for param in runbook.params],
        accepts_changes=request.accept_changes,
    )


def _show_diagnostics(loaded: Loaded, found: Sequence[Diagnostic], console: Console) -> None:
    """Show all that was found; errors end the run before anything has begun."""
    diagnostics = in_order(found)
    if diagnostics:
        console.show(diagnostics, path=loaded.path, lines=loaded.lines)


def _make_reporters(configuration: conf.Configuration, runbook: Runbook | None = None) -> list[ConfiguredReporter]:
    """Make the reporters of a runbook, or all of the project; raise InvalidUsage if the settings of one are invalid."""
    if not configuration.reporters:
        return []
    # Only a project with reporters needs it.
    from django_runbook import configured_reporters

    if runbook is None:
        return configured_reporters.make_all(configuration)
    return configured_reporters.make_chosen(configuration, runbook)


def _prepared(launch: Launch, opened: Opened, processes: Processes, bound: Bound, recorded: Recorded) -> PreparedRun:
    files = {"junit": launch.request.junit, "log_dir": launch.request.log_dir}
    return PreparedRun(
        plan=bound.plan,
        key=opened.key,
        options=recorded.options,
        binder=bound.binder,
        mask=launch.console.mask,
        new_lock=opened.new_lock,
        journal=recorded.journal,
        new_subject=recorded.new_subject,
        isolation=processes.isolation,
        spawner=processes.spawner,
        stopwatch=launch.stopwatch,
        is_inline=launch.request.inline,
        files={name: path for name, path in files.items() if path},
        configured=() if launch.request.dry_run else bound.reporters,
    )
