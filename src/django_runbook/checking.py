"""Checks one runbook, or all runbooks of a project, as far as possible without running them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from django.core import checks
from django.db import DEFAULT_DB_ALIAS, connections

from django_runbook import clock, conf, lookup
from django_runbook.binding.binder import Binder
from django_runbook.binding.catalog import Catalog
from django_runbook.cleaning import cleaned
from django_runbook.document import inputs
from django_runbook.document.codes import Severity
from django_runbook.document.diagnostics import Diagnostic, in_order
from django_runbook.document.outline import has_queues
from django_runbook.document.runbook import Runbook
from django_runbook.document.validation import validate
from django_runbook.exceptions import InvalidUsage
from django_runbook.lookup import ON_DISK, Files
from django_runbook.planning.own_environments import check_own_environments
from django_runbook.planning.plan import Plan, plan
from django_runbook.planning.shards import ShardCounts, processor_count, with_shards
from django_runbook.structs import Struct, replace


class Checked(Struct):
    """Holds the diagnostics of a file and the runbooks that it calls; ``lines`` maps each path to its lines."""

    path: str
    lines: Mapping[str, Sequence[str]]
    diagnostics: list[Diagnostic]


class Loaded(Struct):
    """Holds a file that has been read; ``runbook`` is None if nothing in it was readable."""

    path: str
    lines: Mapping[str, Sequence[str]]
    runbook: Runbook | None
    diagnostics: list[Diagnostic]


def new_binder(*, is_recorded: bool = False, verbosity: int | None = None, catalog: Catalog | None = None) -> Binder:
    """Make a binder for the commands and the databases of this project."""
    return Binder(
        catalog=catalog or Catalog(),
        databases=tuple(connections),
        verbosity=verbosity,
        atomic_alias=conf.journal_alias() if is_recorded else DEFAULT_DB_ALIAS,
    )


def load(path: Path, *, name: str, configuration: conf.Configuration, files: Files = ON_DISK) -> Loaded:
    """Read a file and the runbooks that it calls, from the disk or from other ``files``."""
    called = lookup.called_runbooks(path, configuration, files=files)
    text, diagnostics = files.read(path, name)
    runbook = None
    if not diagnostics:
        runbook, diagnostics = validate.load(text, called=called)
    lines = {one.path: one.lines for one in (*called.sources.values(), text)}
    return Loaded(path=text.path, lines=lines, runbook=runbook, diagnostics=diagnostics)


def with_shard_loops(
    runbook: Runbook,
    catalog: Catalog,
    configuration: conf.Configuration,
    *,
    earlier: Mapping[str, int],
    unfinished: Callable[[], Mapping[str, int]],
    uses_workers: bool,
) -> Runbook:
    """Turn the shards of steps into loops; ``earlier`` are the counts of the run to resume.

    ``unfinished`` returns the counts of work that earlier runs have left.
    Without ``uses_workers``, steps with a queue run on this host.
    """

    def runs_here() -> bool:
        if not uses_workers:
            return True
        from django_runbook.queues.worker_count import runs_on_sender

        return runs_on_sender(configuration)

    def count(queue: str | None) -> int:
        found = None
        if queue is not None:
            # Only a runbook with queues needs the task engine, which takes long to import.
            from django_runbook.queues.worker_count import count_workers

            found = count_workers(queue, configuration)
        return processor_count() if found is None else found

    counts = ShardCounts(
        earlier=earlier, unfinished=functools.cache(unfinished), count_workers=count, runs_here=runs_here
    )
    return with_shards(runbook, catalog, counts)


def with_queues(planned: Plan, configuration: conf.Configuration, *, is_recorded: bool) -> Plan:
    """Add the diagnostics of the queues of a plan."""
    if not has_queues(planned.outline):
        return planned
    # Only a runbook with queues needs the task engine, which takes long to import.
    from django_runbook.queues.queue_checks import check_queues

    found = check_queues(planned.outline, configuration, is_recorded=is_recorded)
    return replace(planned, diagnostics=tuple(in_order([*planned.diagnostics, *found])))


def with_reporters(planned: Plan, configuration: conf.Configuration) -> Plan:
    """Add the diagnostics of the reporters that a runbook names."""
    if not planned.runbook.notify:
        return planned
    # Only a runbook that names reporters needs it.
    from django_runbook.configured_reporters import check_names

    found = check_names(planned.runbook, configuration)
    return replace(planned, diagnostics=tuple(in_order([*planned.diagnostics, *found])))


def with_own_environments(planned: Plan, obstacle: str | None) -> Plan:
    """Add the diagnostics of the commands that have variables; ``obstacle`` forces the steps of a run inline."""
    found = list(check_own_environments(planned, obstacle))
    return replace(planned, diagnostics=tuple(in_order([*planned.diagnostics, *found]))) if found else planned


def plan_without_secrets(
    runbook: Runbook, *, binder: Binder, configuration: conf.Configuration, params: Mapping[str, str] | None = None
) -> Plan:
    """Plan a runbook to check or to show it: what no parameter sets, and every secret, has no value."""
    names = {"name": runbook.name, "file": runbook.path}
    given = inputs.GivenInputs(params=params or {}, now=clock.now(), run=names)
    return plan_with(given, runbook, binder=binder, configuration=configuration)


def plan_with(
    given: inputs.GivenInputs, runbook: Runbook, *, binder: Binder, configuration: conf.Configuration
) -> Plan:
    """Plan a runbook with what a caller provides."""
    is_recorded = configuration.has_journal and runbook.is_recorded
    runbook = with_shards(runbook, binder.catalog, ShardCounts())
    planned = plan(runbook, inputs.resolve(runbook, given), binder)
    return with_reporters(with_queues(planned, configuration, is_recorded=is_recorded), configuration)


def check(path: Path, *, binder: Binder, configuration: conf.Configuration, files: Files = ON_DISK) -> Checked:
    """Check one file, from the disk or from other ``files``; required parameters and secrets have no value."""
    loaded = load(path, name=lookup.label(path), configuration=configuration, files=files)
    runbook, diagnostics = loaded.runbook, loaded.diagnostics
    if runbook is not None:
        planned = plan_without_secrets(runbook, binder=binder, configuration=configuration)
        planned = with_own_environments(planned, None)
        diagnostics = in_order([*diagnostics, *planned.diagnostics])
    return Checked(path=loaded.path, lines=loaded.lines, diagnostics=diagnostics)


def messages() -> list[checks.CheckMessage]:
    """Check all runbooks and return the messages for Django's system checks."""
    try:
        configuration = conf.read()
        files = lookup.find_all(configuration)
    except InvalidUsage as error:
        return [checks.Error(cleaned(str(error)), id="django_runbook.E001")]
    binder = new_binder(is_recorded=configuration.has_journal)
    return [
        message for path in files for message in _messages_of(check(path, binder=binder, configuration=configuration))
    ]


def _messages_of(checked: Checked) -> Iterator[checks.CheckMessage]:
    for item in checked.diagnostics:
        place = f"{item.path or checked.path}:{item.span.line}:{item.span.column}"
        kind, letter = (checks.Error, "E") if item.severity is Severity.ERROR else (checks.Warning, "W")
        number = item.code.removeprefix("RB")
        text, hint = cleaned(f"{place}: {item.message}"), cleaned(item.help) or None
        yield kind(text, hint=hint, id=f"django_runbook.{letter}{number}")
