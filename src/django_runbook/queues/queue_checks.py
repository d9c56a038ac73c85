"""Checks the queues of a runbook before anything runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from django.db import connections

from django_runbook import conf
from django_runbook.conf import Configuration
from django_runbook.document.diagnostics import Diagnostic, Span, diagnose
from django_runbook.document.outline import Entry, path_of, queue_owner
from django_runbook.document.runbook import CommandStep
from django_runbook.document.similar_names import nearest
from django_runbook.queues.engines.base import Engine
from django_runbook.queues.engines.choice import choose_engine
from django_runbook.structs import Struct
from django_runbook.wording import did_you_mean


class Place(Struct):
    """Locates a part of a runbook; ``path`` is that of a called runbook."""

    span: Span
    path: str

    def diagnose(self, code: str, message: str, *, help_text: str = "") -> Diagnostic:
        return diagnose(code, message=message, span=self.span, help_text=help_text, path=self.path)


class QueuedStep(Struct):
    """Holds a step that runs on a queue, its own or that of a group around it; ``place`` is that of the queue."""

    step: CommandStep
    queue: str
    path: str
    place: Place


def queued_steps(outline: Mapping[str, Entry]) -> list[QueuedStep]:
    """Return the command steps that run on a queue."""
    return [queued for entry in outline.values() if (queued := _queued_step(entry, outline)) is not None]


def _queued_step(entry: Entry, outline: Mapping[str, Entry]) -> QueuedStep | None:
    entries = [entry, *(outline[key] for key in reversed(entry.group_keys))]
    owner = queue_owner(entry.step, (one.step for one in entries[1:]))
    if owner is None or not isinstance(owner.queue, str) or not isinstance(entry.step, CommandStep):
        return None
    path = next(path_of(one, outline) for one in entries if one.step is owner)
    place = Place(span=owner.queue_span or owner.span, path=path)
    return QueuedStep(step=entry.step, queue=owner.queue, path=path_of(entry, outline), place=place)


def check_queues(
    outline: Mapping[str, Entry], configuration: Configuration, *, is_recorded: bool
) -> Iterator[Diagnostic]:
    """Report the queues that cannot run a step, each where it is named."""
    queued = queued_steps(outline)
    if not queued:
        return
    engine = choose_engine(configuration)
    first = queued[0].place
    if engine is None or engine.problem:
        message = "the step has a queue, but " + (engine.problem if engine else "the project has no task engine")
        help_text = 'set up Celery or TASKS, or name an engine in RUNBOOK["QUEUE"]'
        yield first.diagnose("RB431", message, help_text=help_text)
        return
    if not is_recorded:
        message = "a call on a queue needs the run history, and this run is not recorded"
        yield first.diagnose("RB432", message, help_text='remove "queue", or record the run')
    yield from _check_names(queued, engine)
    yield from _check_hosts(first, engine, configuration)


def _check_names(queued: list[QueuedStep], engine: Engine) -> Iterator[Diagnostic]:
    known = engine.queues
    for one in queued:
        if known is not None and one.queue not in known:
            message = f'{engine.name} has no queue "{one.queue}"'
            near = nearest(one.queue, sorted(known))
            help_text = did_you_mean(near) if near else f"its queues are: {', '.join(sorted(known))}"
            yield one.place.diagnose("RB430", message, help_text=help_text)
        if one.step.isolate is False:
            message = 'a step with "isolate: false" runs in the process of the run, not on a queue'
            here = Place(span=one.step.span, path=one.path)
            yield here.diagnose("RB434", message, help_text="remove one of the two keys")


def _check_hosts(first: Place, engine: Engine, configuration: Configuration) -> Iterator[Diagnostic]:
    """Warn if steps run elsewhere than their file says, or if workers on another host could not run them."""
    if engine.local_reason:
        message = f"steps with a queue run on this host, without a worker: {engine.local_reason}"
        yield first.diagnose("RB433", message)
        return
    why = ""
    if connections[conf.journal_alias()].vendor == "sqlite":
        why = "the history is in SQLite"
    elif configuration.lock.backend == "file":
        why = "the locks are files"
    if why:
        yield first.diagnose("RB433", f"all workers must run on this host: {why}")
