"""Lists all steps of a Runbook by their keys, including the steps of called runbooks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from django_runbook.document.runbook import Block, CallStep, CommandStep, GroupStep, Runbook, Step
from django_runbook.results import Role
from django_runbook.structs import Struct


class Entry(Struct):
    """Locates a step in a runbook.

    ``key`` is its id, prefixed with the ids of the runbook steps around it: ``weekly/import``. ``group_keys`` are the
    groups, loops and runbooks around it, outermost first.
    """

    key: str
    step: Step
    role: Role
    group_keys: tuple[str, ...] = ()


def outline(runbook: Runbook) -> dict[str, Entry]:
    """Return every step once, in the order of the file."""
    return {entry.key: entry for entry in _block(runbook.block, role=Role.STEP, prefix="", group_keys=())}


def _block(block: Block, *, role: Role, prefix: str, group_keys: tuple[str, ...]) -> Iterator[Entry]:
    for own_role, steps in lists_of(block, role):
        for step in steps:
            key = prefix + step.id
            yield Entry(key=key, step=step, role=own_role, group_keys=group_keys)
            if isinstance(step, GroupStep):
                yield from _block(step.block, role=own_role, prefix=prefix, group_keys=(*group_keys, key))
            elif isinstance(step, CallStep):
                yield from _block(step.runbook.block, role=own_role, prefix=f"{key}/", group_keys=(*group_keys, key))


def lists_of(block: Block, role: Role) -> tuple[tuple[Role, tuple[Step, ...]], ...]:
    """Return the lists of a block, each with the role of its steps; ``role`` is the role of the block itself."""
    return (
        (role, block.steps),
        (Role.ON_SUCCESS, block.on_success),
        (Role.ON_FAILURE, block.on_failure),
        (Role.FINALLY, block.finally_),
    )


def may_isolate(runbook: Runbook, *, is_default: bool, uses_workers: bool) -> bool:
    """Return whether any command may run in its own process on this host.

    ``is_default`` applies to steps without ``isolate``; with ``uses_workers``, a step with a queue runs on a worker.
    """
    entries = outline(runbook)
    for entry in entries.values():
        around = steps_around(entry, entries)
        is_queued = uses_workers and queue_of(entry.step, around) is not None
        if isinstance(entry.step, CommandStep) and not is_queued:
            chosen = is_default if entry.step.isolate is None else entry.step.isolate
            if chosen or runbook.timeout_seconds is not None or any(map(_isolates, (entry.step, *around))):
                return True
    return False


def _isolates(step: Step) -> bool:
    """Return whether the commands of a step need processes of their own: to end them in time, or to run at once."""
    if step.timeout_seconds is not None or step.items_at_once > 1:
        return True
    match step:
        case GroupStep():
            return step.block.is_parallel
        case CallStep():
            return step.runbook.timeout_seconds is not None
    return False


def queue_of(step: Step, around: Iterable[Step]) -> str | None:
    """Return the queue of a command: its own, or that of the innermost group; None if it runs on this host."""
    owner = queue_owner(step, around)
    return owner.queue if owner is not None and isinstance(owner.queue, str) else None


def queue_owner(step: Step, around: Iterable[Step]) -> CommandStep | GroupStep | None:
    """Return the step or the group whose ``queue`` decides where a command runs; None without one."""
    if not isinstance(step, CommandStep):
        return None
    steps: list[CommandStep | GroupStep] = [step, *(one for one in around if isinstance(one, GroupStep))]
    return next((one for one in steps if one.queue is not None), None)


def steps_around(entry: Entry, entries: Mapping[str, Entry]) -> list[Step]:
    """Return the groups, loops and calls around a step, the innermost first."""
    return [entries[key].step for key in reversed(entry.group_keys)]


def path_of(entry: Entry, entries: Mapping[str, Entry]) -> str:
    """Return the path of the called runbook that contains a step; empty for the runbook of the run."""
    return next((step.runbook.path for step in steps_around(entry, entries) if isinstance(step, CallStep)), "")


def has_queues(entries: Mapping[str, Entry]) -> bool:
    """Return whether any step may run on a queue."""
    return any(isinstance(getattr(entry.step, "queue", None), str) for entry in entries.values())


def key_of(step_id: str) -> str:
    """Return the id of a step without item numbers."""
    return step_id.partition("[")[0]


def item_numbers(step_id: str) -> list[str]:
    """Return the numbers of the items of the loops that a step is in, outermost first."""
    _, bracket, rest = step_id.partition("[")
    return rest.removesuffix("]").split(",") if bracket else []
