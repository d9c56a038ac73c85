"""Checks the queues of a runbook before anything runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from django.db import connections

from django_runbook import conf
from django_runbook.conf import Configuration
from django_runbook.document.diagnostics import Diagnostic, diagnose
from django_runbook.document.outline import Entry, queue_of
from django_runbook.document.runbook import CommandStep
from django_runbook.document.similar_names import nearest
from django_runbook.queues.engines.base import Engine
from django_runbook.queues.engines.choice import choose_engine
from django_runbook.structs import Struct
from django_runbook.wording import did_you_mean


class QueuedStep(Struct):
    """Holds a step that runs on a queue, its own or that of a group around it."""

    step: CommandStep
    queue: str


def queued_steps(outline: Mapping[str, Entry]) -> list[QueuedStep]:
    """Return the command steps that run on a queue."""
    found = []
    for entry in outline.values():
        if isinstance(entry.step, CommandStep):
            queue = queue_of(entry.step, (outline[key].step for key in reversed(entry.group_keys)))
            if queue is not None:
                found.append(QueuedStep(step=entry.step, queue=queue))
    return found


def check_queues(
    outline: Mapping[str, Entry], configuration: Configuration, *, is_recorded: bool
) -> Iterator[Diagnostic]:
    """Report the queues that cannot run a step, each at its first step."""
    queued = queued_steps(outline)
    if not queued:
        return
    engine = choose_engine(configuration)
    first = queued[0].step
    if engine is None or engine.problem:
        message = "the step has a queue, but " + (engine.problem if engine else "the project has no task engine")
        help_text = 'set up Celery or TASKS, or name an engine in RUNBOOK["QUEUE"]'
        yield diagnose("RB431", message=message, span=first.span, help_text=help_text)
        return
    if not is_recorded:
        message = "a call on a queue needs the run history, and this run is not recorded"
        yield diagnose("RB432", message=message, span=first.span, help_text='remove "queue", or record the run')
    yield from _check_names(queued, engine)
    yield from _check_places(first, engine, configuration)


def _check_names(queued: list[QueuedStep], engine: Engine) -> Iterator[Diagnostic]:
    known = engine.queues
    for one in queued:
        if known is not None and one.queue not in known:
            message = f'{engine.name} has no queue "{one.queue}"'
            near = nearest(one.queue, sorted(known))
            help_text = did_you_mean(near) if near else f"there are: {', '.join(sorted(known))}"
            yield diagnose("RB430", message=message, span=one.step.span, help_text=help_text)
        if one.step.isolate is False:
            message = 'a step with "isolate: false" runs in the process of the run, not on a queue'
            yield diagnose("RB434", message=message, span=one.step.span, help_text="remove one of the two keys")


def _check_places(first: CommandStep, engine: Engine, configuration: Configuration) -> Iterator[Diagnostic]:
    """Warn if steps run elsewhere than their file says, or if workers on another host could not run them."""
    if engine.local_reason:
        message = f"steps with a queue run on this host, without a worker: {engine.local_reason}"
        yield diagnose("RB433", message=message, span=first.span)
        return
    why = ""
    if connections[conf.journal_alias()].vendor == "sqlite":
        why = "the history is in SQLite"
    elif configuration.lock.backend == "file":
        why = "the locks are files"
    if why:
        message = f"all workers must run on this host: {why}"
        yield diagnose("RB433", message=message, span=first.span)
