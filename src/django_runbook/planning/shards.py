"""Turns the ``shards`` of a step into a loop that runs its command with ``--shard 1/8`` to ``8/8``."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from django_runbook.binding.catalog import Catalog
from django_runbook.document.diagnostics import Diagnostic, Span, diagnose
from django_runbook.document.expressions import Expression, Reference, Template
from django_runbook.document.keys import MAX_ITEMS
from django_runbook.document.outline import Entry, outline, queue_of, steps_around
from django_runbook.document.rewriting import rewrite_commands
from django_runbook.document.runbook import CommandStep, Located, Option, Runbook, ShardSettings
from django_runbook.planning.bound_step import BoundStep
from django_runbook.structs import Struct, field, replace

# With 8 workers and a tenth of the keys twenty times as slow, one shard a worker takes 5.6 times as long as an even
# distribution, and eight take 1.16 times (simulated).
SHARDS_PER_WORKER: Final = 8
_FLAG: Final = "--shard"
_RESTART: Final = "--restart"


def processor_count() -> int:
    """Return the number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class ShardCounts(Struct):
    """Decides how many shards ``auto`` makes.

    ``earlier`` holds the counts of a resumed run by the keys of its steps, ``unfinished`` returns those of work that
    earlier runs have left, and ``count_workers`` returns how many processes work on a queue; None means this host.
    ``runs_here`` returns whether steps with a queue run on this host too.
    """

    earlier: Mapping[str, int] = field(default_factory=dict)
    unfinished: Callable[[], Mapping[str, int]] = dict
    count_workers: Callable[[str | None], int] = lambda queue: processor_count()
    runs_here: Callable[[], bool] = lambda: False

    def auto(self, key: str, queue: str | None, *, starts_over: bool = False) -> int:
        """Return the number of shards of a step: that of the resumed run or of unfinished work, or eight a worker."""
        if key in self.earlier:
            return self.earlier[key]
        if not starts_over and key in (unfinished := self.unfinished()):
            return unfinished[key]
        return min(SHARDS_PER_WORKER * max(self.count_workers(queue), 1), MAX_ITEMS)


def has_shards(entries: Mapping[str, Entry]) -> bool:
    """Return whether any step has shards."""
    return any(isinstance(entry.step, CommandStep) and entry.step.shards is not None for entry in entries.values())


def counts_in(entries: Mapping[str, Entry]) -> dict[str, int]:
    """Return the number of shards of each step that has them, for a resume."""
    steps = ((key, entry.step) for key, entry in entries.items())
    settings = ((key, step.shards) for key, step in steps if isinstance(step, CommandStep))
    return {key: shards.count for key, shards in settings if shards is not None and shards.count is not None}


def with_shards(runbook: Runbook, catalog: Catalog, counts: ShardCounts) -> Runbook:
    """Return the runbook with a loop for each step that has ``shards``, unless its command has no ``--shard``."""
    entries = outline(runbook)
    if not has_shards(entries):
        return runbook

    def change(key: str, step: CommandStep) -> CommandStep:
        if step.shards is None or not _can_be_sharded(step, catalog):
            return step
        queue = queue_of(step, steps_around(entries[key], entries))
        if queue is not None and counts.runs_here():
            queue = None
        count = step.shards.count or counts.auto(key, queue, starts_over=_starts_over(step))
        at_once = step.shards.max_parallel or (min(processor_count(), count) if queue is None else count)
        return _as_loop(step, replace(step.shards, count=count, max_parallel=at_once))

    return rewrite_commands(runbook, change)


def check_shards(bound: BoundStep) -> Iterator[Diagnostic]:
    """Report ``shards`` on a command that has no ``--shard``."""
    step = bound.command
    if step is None or step.shards is None or step.for_each is not None:
        return
    message = f'"{step.command[0].value}" has no "{_FLAG}"'
    help_text = 'remove "shards": only a batch command over a table has shards'
    yield diagnose("RB422", message=message, span=step.shards.span, help_text=help_text)


def _can_be_sharded(step: CommandStep, catalog: Catalog) -> bool:
    # The plan reports an unknown or a broken command at its position.
    return catalog.has_option(str(step.command[0].value), _FLAG, default=True)


def _starts_over(step: CommandStep) -> bool:
    """Return whether a step has ``--restart``; a value that is not known yet counts as given."""
    is_token = any(token.value == _RESTART for token in step.command)
    name = _RESTART.removeprefix("--")
    return is_token or any(one.name == name and one.value.value is not False for one in step.options)


def _as_loop(step: CommandStep, shards: ShardSettings) -> CommandStep:
    span, count = shards.span, shards.count
    names = (f"{number}/{count}" for number in range(1, (count or 0) + 1))
    items = Located(value=tuple(Located(value=name, span=span, text=name) for name in names), span=span)
    option = Option(name=_FLAG.removeprefix("--"), name_span=span, value=_item_at(span))
    return replace(step, shards=shards, for_each=items, options=(*step.options, option))


def _item_at(span: Span) -> Located:
    reference = Reference(root="item", path=(), span=span)
    return Located(value=Template(parts=(Expression(source="item", span=span, references=(reference,)),)), span=span)
