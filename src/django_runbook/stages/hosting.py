"""Runs a prepared plan in this process: takes its signals and streams, and starts the executors."""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import IO, TYPE_CHECKING

from django_runbook import clock, conf, events, reporters
from django_runbook.binding.binder import Binder
from django_runbook.cleaning import Mask
from django_runbook.document.outline import has_queues, key_of, queue_of, steps_around
from django_runbook.document.runbook import CommandStep
from django_runbook.exceptions import InvalidUsage, RunbookError
from django_runbook.executors.calling import PassedChecks
from django_runbook.executors.inline import InlineExecutor
from django_runbook.locks import namespace
from django_runbook.locks.base import Holder
from django_runbook.locks.factory import Locks
from django_runbook.planning.plan import Plan
from django_runbook.process.connections import KnownConnections
from django_runbook.process.files import kept_open
from django_runbook.process.isolation import Isolation
from django_runbook.process.snapshot import Snapshot
from django_runbook.process.stopping import Stop
from django_runbook.process.streams import clean_text, empty_input
from django_runbook.reporters.fan_out import FanOut
from django_runbook.results import Failure, RunResult
from django_runbook.runner import questions
from django_runbook.runner import run as runner
from django_runbook.runner.context import RunContext, RunOptions
from django_runbook.runner.recorder import NoRecorder
from django_runbook.signals import SignalSender
from django_runbook.stages.console import Console, Streams
from django_runbook.structs import Struct

if TYPE_CHECKING:
    from django_runbook.configured_reporters import ConfiguredReporter, Connected
    from django_runbook.executors.process import ProcessExecutor
    from django_runbook.executors.spawner import Spawner
    from django_runbook.forecasts.subject import Subject
    from django_runbook.journal.listener import Journal
    from django_runbook.queues.queue_executor import QueueExecutor
    from django_runbook.stopwatch import Stopwatch


class PreparedRun(Struct):
    """Holds a run that has passed every check, with its lock and its journal.

    ``key`` names the runbook in all releases of the project. ``files`` maps the names of reports to the file or folder
    that each is written to, and ``configured`` are the reporters of the project's settings. ``is_inline`` says that the
    caller asked for steps in this process, for example to debug them.
    """

    plan: Plan
    key: str
    options: RunOptions
    binder: Binder
    mask: Mask
    new_lock: Locks
    journal: Journal | None
    new_subject: Callable[[], Subject] | None
    isolation: Isolation
    spawner: Spawner | None
    is_inline: bool
    files: Mapping[str, str]
    stopwatch: Stopwatch | None = None
    configured: Sequence[ConfiguredReporter] = ()


def execute(prepared: PreparedRun, *, console: Console, stop: Stop) -> RunResult:
    """Run the steps of a prepared run and report its events; return the result."""
    # A debugger needs the terminal.
    keeps_terminal = prepared.is_inline and sys.stdin is not None and sys.stdin.isatty()
    with contextlib.ExitStack() as stack:
        streams = stack.enter_context(console.open(keeps_terminal=keeps_terminal))
        emit, connected = _new_fan_out(prepared, streams)
        listener, failure_at_end = _compared(prepared, _emit_with_recovery(prepared, emit, connected), console)
        stack.callback(emit.close)
        _report_from_threads(prepared, emit, stop)
        known = stack.enter_context(KnownConnections())
        ask = _new_ask(prepared, stack.enter_context(empty_input(is_kept=keeps_terminal)), console.question_stream)
        files = stack.enter_context(kept_open())
        stack.enter_context(stop)
        stop.cancel = known.cancel_statements
        checks = PassedChecks()
        isolate = _new_process_executor(prepared, stop, checks, stack=stack)
        enqueue = _new_queue_executor(prepared, stop, console)
        _settle_earlier_calls(prepared, stop, console, has_workers=enqueue is not None)
        stack.enter_context(enqueue or contextlib.nullcontext())
        context = RunContext(
            execute=InlineExecutor(
                stop=stop,
                mask=prepared.mask,
                before=Snapshot.capture(known),
                files=files,
                reopen=(lambda: None) if prepared.journal is None else prepared.journal.reconnect,
                keeps_terminal=keeps_terminal,
                raw_output=streams.raw_output,
                checks=checks,
            ),
            isolate=isolate,
            enqueue=enqueue,
            is_repeatable=_is_repeatable,
            isolation=prepared.isolation,
            recorder=NoRecorder() if prepared.journal is None else prepared.journal,
            new_lock=prepared.new_lock,
            namespace=namespace.host_namespace(),
            find_call=_new_call_search(prepared, stop),
            emit=listener,
            failure_at_end=failure_at_end,
            write_files=emit.write_files,
            binder=prepared.binder,
            stop=stop,
            mask=prepared.mask,
            ask=ask,
            stopwatch=prepared.stopwatch,
            environ_of=(lambda step_id: {}) if connected is None else connected.environ_of,
        )
        return runner.run(prepared.plan, prepared.options, context)


def _connect(prepared: PreparedRun, streams: Streams) -> Connected | None:
    if not prepared.configured:
        return None
    from django_runbook.configured_reporters import connect, facts_of

    def warn(text: str) -> None:
        # Standard error may be closed.
        with contextlib.suppress(OSError, ValueError):
            streams.errors.write(f"{clean_text(text, prepared.mask)}\n")

    facts = facts_of(prepared.plan.runbook, key=prepared.key)
    return connect(prepared.configured, facts, warn=warn, mask=prepared.mask)


def _emit_with_recovery(prepared: PreparedRun, emit: FanOut, connected: Connected | None) -> events.Listener:
    """Find out before the end of a run is reported whether the run before it had failed.

    Not while it is reported: the history may have to report that it waits for its database.
    """
    journal = prepared.journal
    if connected is None or journal is None:
        return emit

    def emit_event(event: events.Event) -> None:
        if isinstance(event, events.RunFinished) and connected.notices.wants_recovery(event.result):
            from django_runbook.journal.reading import earlier_runs

            # A history that is lost ends the run with an error of its own.
            with contextlib.suppress(RunbookError):
                found = journal.ask(lambda using: earlier_runs.has_failed_before(journal.run_id, using=using))
                connected.notices.has_recovered = bool(found)
        emit(event)

    return emit_event


def _new_fan_out(prepared: PreparedRun, streams: Streams) -> tuple[FanOut, Connected | None]:
    connected = _connect(prepared, streams)
    files = {f"--{name.replace('_', '-')}": reporters.build_file(name, path) for name, path in prepared.files.items()}
    configured = () if connected is None else connected.reporters
    listeners = [*streams.reporters, *configured, SignalSender(errors=streams.errors, mask=prepared.mask)]
    critical = () if prepared.journal is None else (prepared.journal,)
    make: Callable[..., FanOut] = FanOut
    if prepared.stopwatch is not None:
        # Only a run with --timings is measured.
        from django_runbook.reporters.measured_fan_out import MeasuredFanOut

        make = functools.partial(MeasuredFanOut, stopwatch=prepared.stopwatch)
    return make(listeners, files=files, critical=critical, errors=streams.errors, mask=prepared.mask), connected


def _compared(
    prepared: PreparedRun, emit: events.Listener, console: Console
) -> tuple[events.Listener, Callable[[], Failure | None]]:
    """Compare a recorded run with earlier ones; return its listener, and what fails it at its end."""
    if prepared.journal is None or prepared.new_subject is None:
        return emit, lambda: None
    # Only a recorded run needs the folder `forecasts`.
    from django_runbook.forecasts.watch import RunWatch

    watch = RunWatch(
        new_subject=prepared.new_subject,
        journal=prepared.journal,
        policy=prepared.plan.runbook.unusual,
        emit=emit,
        report=console.warn,
    )
    return watch, watch.failure


def _report_from_threads(prepared: PreparedRun, emit: FanOut, stop: Stop) -> None:
    """Report stops, outages and lost locks, which other threads notice."""
    stop.on_stop = lambda name, is_immediate: emit.report_in_run(
        events.StopRequested(at=clock.now(), signal_name=name, is_immediate=is_immediate)
    )
    journal, mask = prepared.journal, prepared.mask
    if journal is not None:
        journal.report_waiting(
            lambda reason: emit.report(events.HistoryAwaited(at=clock.now(), reason=clean_text(reason, mask)))
        )
        journal.report_retaken(lambda name: emit.report_in_run(events.LockRetaken(at=clock.now(), name=name)))


def _new_ask(prepared: PreparedRun, answers: IO[str] | None, stream: IO[str] | None) -> questions.Ask | None:
    ask = questions.at_terminal(answers, stream)
    if prepared.options.asks_before_steps and ask is None:
        raise InvalidUsage("--step asks before each step, and needs a terminal")
    return ask


def _new_process_executor(
    prepared: PreparedRun, stop: Stop, checks: PassedChecks, *, stack: contextlib.ExitStack
) -> ProcessExecutor | None:
    if prepared.spawner is None:
        return None
    from django_runbook.executors.process import ProcessExecutor

    executor = ProcessExecutor(
        stop=stop,
        mask=prepared.mask,
        spawner=prepared.spawner,
        secrets=(*prepared.plan.inputs.all_secrets.values(), *conf.read().hidden_values),
        commands=prepared.plan.commands,
        grace_seconds=stop.timeout_seconds,
        checks=checks,
    )
    return stack.enter_context(executor)


def _new_queue_executor(prepared: PreparedRun, stop: Stop, console: Console) -> QueueExecutor | None:
    if prepared.journal is None or not prepared.isolation.is_possible or not has_queues(prepared.plan.outline):
        return None
    # Only a run with queues needs the task engine, which takes long to import.
    from django_runbook.queues.setup import new_queue_executor

    return new_queue_executor(
        run_id=prepared.journal.run_id,
        new_lock=prepared.new_lock,
        grace_seconds=stop.timeout_seconds,
        mask=prepared.mask,
        secrets=prepared.plan.inputs.all_secrets,
        warn=console.warn,
    )


def _new_call_search(prepared: PreparedRun, stop: Stop) -> Callable[[str], Holder | None]:
    """Return what finds the worker that still runs a call of a dead run under a lock; it needs the history."""
    journal = prepared.journal
    if journal is None:
        return lambda name: None

    def find(name: str) -> Holder | None:
        # Only a run with locks asks.
        from django_runbook.queues.call_ending import CallEnding
        from django_runbook.queues.calls_under_lock import holder_under_lock

        return holder_under_lock(name, CallEnding(journal=journal, new_lock=prepared.new_lock, rest=stop.wait))

    return find


def _settle_earlier_calls(prepared: PreparedRun, stop: Stop, console: Console, *, has_workers: bool) -> None:
    """Refuse or end the calls of earlier attempts of the run that it cannot continue."""
    _refuse_calls_elsewhere(prepared, has_workers=has_workers)
    _end_left_over_calls(prepared, stop, console)


def _refuse_calls_elsewhere(prepared: PreparedRun, *, has_workers: bool) -> None:
    """Raise InvalidUsage if a step would run on this host while its call of an earlier attempt may run on a worker."""
    outline = prepared.plan.outline
    for step_id in prepared.options.past.open_calls:
        entry = outline[key_of(step_id)]
        if queue_of(entry.step, steps_around(entry, outline)) is None or not has_workers:
            raise InvalidUsage(
                f'step "{step_id}" has a call on a worker, which may still run or have a result: '
                'resume the run with the "queue" of the step, and without --inline'
            )


def _end_left_over_calls(prepared: PreparedRun, stop: Stop, console: Console) -> None:
    """End the calls of earlier attempts of the run that no step continues, before one of them runs a second time."""
    journal, options = prepared.journal, prepared.options
    if journal is None or options.attempt == 1:
        return
    # Only a resumed run has them.
    from django_runbook.queues.call_ending import CallEnding
    from django_runbook.queues.calls_left_over import end_left_over

    ending = CallEnding(journal=journal, new_lock=prepared.new_lock, rest=stop.wait)
    continued = frozenset(options.past.open_calls.values())
    end_left_over(continued, ending, on_wait=lambda text: console.warn(f"waiting: {text}"))


def _is_repeatable(step: CommandStep, argv: Sequence[str]) -> bool:
    # Only a step on a worker asks.
    from django_runbook.resume.repeatable import RepeatableCommands

    return RepeatableCommands(own=conf.read().idempotent).may_repeat(step, argv)
