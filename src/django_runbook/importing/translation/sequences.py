"""Translates lists of statements: what a failure of one of them does, and what runs in the background."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from django_runbook.importing.draft import Entry, Note, Plain, StepDraft, steps_of
from django_runbook.importing.problems import NotCarried
from django_runbook.importing.shell.nodes import (
    AndOr,
    Background,
    If,
    IfBranch,
    Negation,
    Node,
    Remark,
    Simple,
)
from django_runbook.importing.translation.context import StepBlock, as_one, group
from django_runbook.importing.translation.exits import has_end, is_exit, may_exit, only_ends, replaces_shell
from django_runbook.importing.translation.known_commands import SILENT
from django_runbook.importing.translation.leaving_out import left_out
from django_runbook.importing.translation.lock_files import held_lock, is_opening, open_descriptors
from django_runbook.importing.translation.scope import ShellScope
from django_runbook.structs import MutableStruct, Struct, field, replace

_CONTINUES: Final = (
    'without "set -e" the shell continues after a failure, and ends with the exit code of its last command; '
    "the run continues, too, and fails at its end"
)
_WAITS: Final = "wait ignores the failures of what it waits for; here they count, after all have ended"
Translate = Callable[[Node, ShellScope], tuple[Entry, ...]]


class _Unit(Struct):
    """Holds the entries of one statement, and whether its failure ends the list: any, or that of an exit in it."""

    entries: tuple[Entry, ...]
    stops: bool
    line: int = 0
    always_stops: bool = False


class _Ends(Struct):
    """Says what the failure of a list does: something follows it, or its exit code decides what follows."""

    is_followed: bool
    is_judged: bool = False
    is_strict: bool = False


class _List(MutableStruct):
    """Collects the units of a list; ``lock`` is held from ``locked_at`` on.

    A list that ``ends_without_step`` succeeds, whatever became of its steps: its last statement is one as ``set -e``.
    """

    scope: ShellScope
    translate: Translate
    has_waited: bool = False
    locked_by: Node | None = None
    units: list[_Unit] = field(default_factory=list)
    lock: dict[str, Plain] | None = None
    locked_at: int = 0
    ends_without_step: bool = False


def translate_block(statements: Sequence[Node], scope: ShellScope, translate: Translate) -> StepBlock:
    """Translate statements; those that are not carried over stay as comments."""
    is_tail = scope.is_tail
    is_loop, scope.is_loop = scope.is_loop, False
    is_judged, scope.is_judged = scope.is_judged, False
    is_called, scope.is_called = scope.is_called, False
    was_strict = scope.stops_on_failure
    made = _List(scope=scope, translate=translate)
    successes = _successes(statements)
    pending = list(statements[: len(statements) - len(successes)])
    while pending:
        node = pending.pop(0)
        node = _with_exit_code(node, pending, scope)
        if isinstance(node, Background):
            together, pending = _until_wait([node, *pending])
            made.units += _parallel(together, made)
            made.ends_without_step = False
            continue
        is_last = replaces_shell(node) or all(isinstance(one, Remark) for one in pending)
        scope.is_tail, scope.is_judged = is_tail and is_last, is_judged and is_last
        made.units.append(_unit(node, made))
        if not isinstance(node, Remark):
            made.ends_without_step = not steps_of(made.units[-1].entries)
        if is_exit(node) or replaces_shell(node):
            made.units += _unreachable(pending)
            break
    for node in successes:
        note = Note(line=node.line, subject=node.source, text="a run ends by itself")
        made.units.append(_Unit(entries=(note,), stops=True))
    scope.acquired = made.lock if is_called else None
    units = _locked(made, is_tail=is_tail) if made.lock is not None and not is_called else made.units
    # A list that turns "set -e" on or off is inside of one that ends at failures.
    scope.list_stops = was_strict or any(unit.always_stops for unit in units)
    is_strict = was_strict or scope.stops_on_failure or scope.is_strict
    succeeds = made.ends_without_step or bool(successes)
    if succeeds and is_judged and any(steps_of(unit.entries) for unit in units):
        raise NotCarried("its result is that of its last statement, which always succeeds: that has no counterpart")
    ends = _Ends(is_followed=is_loop or not is_tail or succeeds, is_judged=is_judged, is_strict=is_strict)
    return _with_policy(units, ends)


def _unit(node: Node, made: _List) -> _Unit:
    scope = made.scope
    scope.list_stops = False
    try:
        if is_opening(node) and isinstance(node, Simple) and open_descriptors(node.redirects, scope):
            return _Unit(entries=(), stops=True)
        lock = held_lock(node, scope)
        if lock is not None:
            if made.lock is not None:
                raise NotCarried("a list holds one lock: put the steps that need the second one into a group")
            made.lock, made.locked_at, made.locked_by = lock, len(made.units), node
            return _Unit(entries=(), stops=True)
        if made.has_waited and _is_wait(node):
            note = Note(line=node.line, subject=node.source, text="the parallel steps have ended")
            return _Unit(entries=(note,), stops=True)
        is_strict, scope.is_strict = scope.is_strict, scope.is_strict or _needs_care(node, scope)
        scope.forgives_left = (scope.stops_on_failure or scope.is_strict) and not scope.is_tail
        # The list may learn from the statement how the shell reacts to failures.
        try:
            entries = made.translate(node, scope)
        finally:
            scope.is_strict = is_strict
    except NotCarried as reason:
        is_guard = may_exit(node, scope) and not replaces_shell(node)
        guard = "; the steps below ran only if it did not end the script" if is_guard else ""
        entries = (left_out(node, f"{reason}{guard}", scope),)
    # A list that turns "set -e" on or off in its middle says of each of its steps what a failure does.
    stops = scope.stops_on_failure or scope.list_stops
    if scope.acquired is not None and made.lock is None:
        made.lock, made.locked_at, made.locked_by = scope.acquired, len(made.units), node
    scope.acquired = None
    return _Unit(entries=entries, stops=stops or has_end(entries), always_stops=stops, line=node.line)


def _needs_care(node: Node, scope: ShellScope) -> bool:
    """Return whether some failures in a statement end the script, and others do not."""
    return not scope.stops_on_failure and may_exit(node, scope)


def _unreachable(statements: Sequence[Node]) -> Iterator[_Unit]:
    for node in statements:
        text = "it is never reached"
        yield _Unit(entries=(Note(line=node.line, text=text, source=node.source),), stops=True)


def _with_exit_code(node: Node, pending: list[Node], scope: ShellScope) -> Node:
    """Return a statement together with an ``if`` about its exit code, if one follows: an ``if`` about itself."""
    following = pending[0] if pending else None
    expected = _tests_exit_code(following) if isinstance(following, If) else None
    if scope.stops_on_failure or expected is None or not isinstance(following, If):
        return node
    pending.pop(0)
    condition = node if expected else Negation(command=node, line=node.line, source=node.source)
    branch = IfBranch(condition=(condition,), statements=following.branches[0].statements)
    return replace(following, branches=(branch,), source=f"{node.source}\n{following.source}", line=node.line)


def _successes(statements: Sequence[Node]) -> Sequence[Node]:
    """Return the statements at the end that only say that the script has succeeded."""
    count = 0
    while count < len(statements) and _is_success(statements[-1 - count]):
        count += 1
    return statements[len(statements) - count :]


def _is_success(node: Node) -> bool:
    if not is_exit(node) or not isinstance(node, Simple):
        return False
    return len(node.words) == 2 and node.words[1].literal == "0"


def _tests_exit_code(node: If) -> bool | None:
    """Return whether an ``if`` tests that the command before it has succeeded, or has failed; None otherwise."""
    only = node.branches[0].condition[0] if len(node.branches) == 1 and node.branches[0].condition else None
    tokens = getattr(only, "tokens", ())
    if len(tokens) != 3:
        return None
    first, operator, second = (token if isinstance(token, str) else token.source.strip('"') for token in tokens)
    if first != "$?" or second != "0":
        return None
    return {"-eq": True, "=": True, "==": True, "-ne": False, "!=": False, "-gt": False}.get(operator)


def _until_wait(pending: list[Node]) -> tuple[list[Node], list[Node]]:
    """Return the statements that run at the same time, with the wait that ends them, and the rest."""
    first = next((index for index, node in enumerate(pending) if _is_wait(node)), None)
    if first is None:
        return pending, []
    end = first + 1
    while end < len(pending) and _is_wait(pending[end]):
        end += 1
    return pending[:end], pending[end:]


def _is_wait(node: Node) -> bool:
    """Return whether a statement is ``wait``, or ``wait || exit``."""
    if isinstance(node, AndOr) and node.operator == "||" and (only_ends(node.right) or _is_nothing(node.right)):
        node = node.left
    return isinstance(node, Simple) and node.program == "wait"


def _is_nothing(node: Node) -> bool:
    return isinstance(node, Simple) and node.program in SILENT


def _names_process(node: Node) -> bool:
    """Return whether a failure of the process that is waited for counts."""
    if isinstance(node, AndOr):
        return only_ends(node.right)
    return isinstance(node, Simple) and len(node.words) > 1


def _parallel(nodes: list[Node], made: _List) -> list[_Unit]:
    """Translate commands in the background and those beside them into parallel branches."""
    waits = [node for node in nodes if _is_wait(node)]
    made.has_waited = bool(waits)
    inside = [node for node in nodes if node not in waits]
    branches: list[Entry] = []
    beside: list[Node] = []
    for node in inside:
        if isinstance(node, Background):
            branch = _unit(node.command, made)
            step = as_one(branch.entries)
            branches += [step] if step is not None else branch.entries
        elif not (isinstance(node, Remark) or _keeps_process(node)):
            beside.append(node)
    if beside:
        block = translate_block(beside, made.scope, made.translate)
        step = as_one(block.entries if block.fail_fast else (group(block.entries, fail_fast=False),))
        branches += [step] if step is not None else block.entries
    return list(_joined_branches(tuple(branches), nodes[0].line, waits=waits, made=made))


def _keeps_process(node: Node) -> bool:
    """Return whether a statement only remembers the number of a process in the background."""
    return node.source.endswith("=$!")


def _joined_branches(branches: tuple[Entry, ...], line: int, *, waits: Sequence[Node], made: _List) -> Iterator[_Unit]:
    steps = steps_of(branches)
    if not steps:
        yield _Unit(entries=branches, stops=True)
        return
    notes: list[Note] = []
    names_process = any(_names_process(node) for node in waits)
    if not waits:
        notes.append(Note(line=line, text="the script did not wait for it; the run does"))
    elif not names_process:
        notes.append(Note(line=line, text=_WAITS))
    if len(steps) == 1 and (only := as_one(branches)) is not None:
        step = replace(only, notes=(*only.notes, *notes))
    else:
        step = StepDraft(line=line, steps=branches, is_parallel=True, fail_fast=False, notes=tuple(notes))
    ends_script = any(isinstance(node, AndOr) and only_ends(node.right) for node in waits)
    if ends_script:
        step = replace(step, is_end=True)
    stops = ends_script or (made.scope.stops_on_failure and names_process)
    yield _Unit(entries=(step,), stops=stops, line=line)


def _locked(made: _List, *, is_tail: bool) -> list[_Unit]:
    """Put the units after a lock was acquired into a group that holds it."""
    inside = _with_policy(made.units[made.locked_at :], _Ends(is_followed=not is_tail))
    step = as_one(inside.entries) if inside.fail_fast else group(inside.entries, fail_fast=False)
    before = made.units[: made.locked_at]
    if step is None:
        return [*made.units, _held_later(made)]
    if step.lock is not None or step.for_each is not None or step.when:
        step = group((step,))
    return [*before, _Unit(entries=(replace(step, lock=made.lock),), stops=True, line=step.line)]


def _held_later(made: _List) -> _Unit:
    """Return the comment about a lock that is acquired in a list without steps."""
    node = made.locked_by
    assert node is not None
    text = "the steps after this list hold this lock: add it to them, or to the file"
    note = Note(line=node.line, text=text, source=node.source, is_open=True)
    return _Unit(entries=(note,), stops=True)


def _with_policy(units: Sequence[_Unit], ends: _Ends) -> StepBlock:
    """Join units: all of them end the list when they fail, or none does, or each says what it does."""
    places = [index for index, unit in enumerate(units) if steps_of(unit.entries)]
    # The failure of the last one is that of the list. If that may end the script, what only continues may not be it.
    has_stop = ends.is_strict or any(units[index].stops for index in places)
    if ends.is_judged and has_stop and places and not units[places[-1]].stops:
        raise NotCarried("an exit in a list whose result decides what follows has no counterpart")
    followed = places if ends.is_followed and has_stop else places[:-1]
    judged = [units[index].stops for index in followed]
    if all(judged):
        return StepBlock(entries=tuple(entry for unit in units for entry in unit.entries))
    if not has_stop and not ends.is_judged:
        note = Note(line=units[places[0]].line, text=_CONTINUES)
        entries = [_without_own_policy(_grouped(unit.entries)) for unit in units]
        first = next((index for index, part in enumerate(entries) if steps_of(part)), 0)
        entries[first] = (note, *entries[first])
        return StepBlock(entries=tuple(entry for part in entries for entry in part), fail_fast=False)
    made: list[Entry] = []
    for index, unit in enumerate(units):
        if index not in followed or unit.always_stops:
            made += unit.entries
        elif unit.stops:
            made += (_tolerated(entry) for entry in unit.entries)
        else:
            step = as_one(unit.entries)
            made += [replace(step, continue_on_error=True)] if step is not None else unit.entries
    return StepBlock(entries=tuple(made))


def _tolerated(entry: Entry) -> Entry:
    """Return a step that does not end the script as one that may fail."""
    is_step = isinstance(entry, StepDraft) and not has_end((entry,))
    return replace(entry, continue_on_error=True) if isinstance(entry, StepDraft) and is_step else entry


def _without_own_policy(entries: tuple[Entry, ...]) -> tuple[Entry, ...]:
    """Take a loop out of its group if the list around it continues after a failure, too."""
    step = as_one(entries)
    if step is not None and step.for_each is not None:
        # The items of a loop follow the list around it; this one ends at the first failure.
        return (group((step,)),)
    inside = steps_of(step.steps) if step is not None else ()
    if step is None or len(inside) != 1 or inside[0].for_each is None:
        return entries
    is_plain = step == group(step.steps, fail_fast=False, notes=step.notes)
    return (replace(inside[0], notes=(*step.notes, *inside[0].notes)),) if is_plain else entries


def _grouped(entries: tuple[Entry, ...]) -> tuple[Entry, ...]:
    """Return the entries of one statement, whose first failure counts, as one step."""
    return entries if len(steps_of(entries)) < 2 else (group(entries),)
