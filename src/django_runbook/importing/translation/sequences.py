"""Translates lists of statements: what a failure of one of them does, and what runs in the background."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from django_runbook.importing.draft import Entry, Note, Plain, StepDraft, steps_of
from django_runbook.importing.problems import NotCarried
from django_runbook.importing.shell.nodes import AndOr, Background, Branch, If, Negation, Node, Remark, Simple
from django_runbook.importing.translation.conditions import condition_of
from django_runbook.importing.translation.context import Block, as_one, group, with_id
from django_runbook.importing.translation.lists import has_end
from django_runbook.importing.translation.lock_files import held_lock, is_opening, open_descriptors
from django_runbook.importing.translation.scope import Scope
from django_runbook.structs import MutableStruct, Struct, field, replace

_CONTINUES: Final = (
    'without "set -e" the shell continues after a failure, and ends with the exit code of its last command; '
    "the run continues, too, and fails at its end"
)
_WAITS: Final = "wait ignores the failures of what it waits for; here they count, after all have ended"
Translate = Callable[[Node, Scope], tuple[Entry, ...]]


class _Unit(Struct):
    """Holds the entries of one statement, and whether its failure ends the list."""

    entries: tuple[Entry, ...]
    stops: bool
    line: int = 0


class _List(MutableStruct):
    """Collects the units of a list; ``lock`` is held from ``locked_at`` on."""

    scope: Scope
    translate: Translate
    units: list[_Unit] = field(default_factory=list)
    lock: dict[str, Plain] | None = None
    locked_at: int = 0


def translate_block(statements: Sequence[Node], scope: Scope, translate: Translate, *, is_top: bool = False) -> Block:
    """Translate statements; those that are not carried over stay as comments.

    The exit code of the last statement is that of the script if the list ``is_top``.
    """
    made = _List(scope=scope, translate=translate)
    ends = _successes(statements)
    pending = list(_with_exit_codes(statements[: len(statements) - len(ends)], scope))
    while pending:
        node = pending.pop(0)
        if isinstance(node, Background):
            together, pending = _until_wait([node, *pending])
            made.units += _parallel(together, made)
            continue
        is_last = is_top and all(isinstance(one, Remark) for one in pending)
        made.units.append(_unit(node, made, is_last=is_last))
        if _is_unconditional_exit(node):
            made.units += _unreachable(pending)
            break
    for node in ends:
        note = Note(line=node.line, subject=node.source, text="a run ends by itself")
        made.units.append(_Unit(entries=(note,), stops=True))
    units = _locked(made) if made.lock is not None else made.units
    return _with_policy(units)


def _unit(node: Node, made: _List, *, is_last: bool = False) -> _Unit:
    scope = made.scope
    try:
        if is_opening(node) and isinstance(node, Simple) and open_descriptors(node.redirects, scope):
            return _Unit(entries=(), stops=True)
        lock = held_lock(node, scope)
        if lock is not None:
            if made.lock is not None:
                raise NotCarried("a list holds one lock: put the steps that need the second one into a group")
            made.lock, made.locked_at = lock, len(made.units)
            return _Unit(entries=(), stops=True)
        # The list may learn from the statement how the shell reacts to failures.
        entries = made.translate(node, scope)
    except NotCarried as reason:
        entries = (Note(line=node.line, text=str(reason), source=node.source, is_open=True),)
    stops = scope.stops_on_failure
    if stops and not is_last and isinstance(node, AndOr) and node.operator == "&&":
        entries, stops = _with_errexit(node, entries, scope)
    return _Unit(entries=entries, stops=stops or has_end(entries), line=node.line)


def _with_errexit(node: AndOr, entries: tuple[Entry, ...], scope: Scope) -> tuple[tuple[Entry, ...], bool]:
    """Keep that a failure before ``&&`` does not end a script with ``set -e``, but one after it does."""
    steps = steps_of(entries)
    if len(steps) < 2 or condition_of(node.left, scope) is not None:
        return entries, True
    last = entries.index(steps[-1])
    before = as_one(entries[:last])
    assert before is not None
    named, name = with_id(before, scope)
    text = '"set -e" does not end a script if a command before && fails'
    first = replace(named, continue_on_error=True, notes=(*named.notes, Note(line=node.line, text=text)))
    second = replace(steps[-1], when=(f"not steps.{name}.ignored", *steps[-1].when))
    return (first, second, *entries[last + 1 :]), True


def _is_unconditional_exit(node: Node) -> bool:
    return isinstance(node, Simple) and bool(node.words) and node.words[0].literal in {"exit", "return"}


def _unreachable(statements: Sequence[Node]) -> Iterator[_Unit]:
    for node in statements:
        text = "it is never reached"
        yield _Unit(entries=(Note(line=node.line, text=text, source=node.source),), stops=True)


def _with_exit_codes(statements: Sequence[Node], scope: Scope) -> Iterator[Node]:
    """Yield statements; an ``if`` about ``$?`` becomes one about the command before it."""
    pending = list(statements)
    for index, node in enumerate(pending):
        following = pending[index + 1] if index + 1 < len(pending) else None
        earlier = pending[index - 1] if index else None
        if isinstance(following, If) and _tests_exit_code(following) is not None and not scope.stops_on_failure:
            continue
        expected = _tests_exit_code(node) if isinstance(node, If) else None
        if isinstance(node, If) and expected is not None and earlier is not None and not scope.stops_on_failure:
            condition = earlier if expected else Negation(command=earlier, line=earlier.line, source=earlier.source)
            branch = Branch(condition=(condition,), statements=node.branches[0].statements)
            yield replace(node, branches=(branch,), source=f"{earlier.source}\n{node.source}", line=earlier.line)
        else:
            yield node


def _successes(statements: Sequence[Node]) -> Sequence[Node]:
    """Return the statements at the end that only say that the script has succeeded."""
    count = 0
    while count < len(statements) and _is_success(statements[-1 - count]):
        count += 1
    return statements[len(statements) - count :]


def _is_success(node: Node) -> bool:
    if not _is_unconditional_exit(node) or not isinstance(node, Simple):
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
    for index, node in enumerate(pending):
        if isinstance(node, Simple) and node.words and node.words[0].literal == "wait":
            return pending[: index + 1], pending[index + 1 :]
    return pending, []


def _parallel(nodes: list[Node], made: _List) -> list[_Unit]:
    """Translate commands in the background and those beside them into parallel branches."""
    last = nodes[-1]
    is_waited = isinstance(last, Simple) and bool(last.words) and last.words[0].literal == "wait"
    names_process = isinstance(last, Simple) and is_waited and len(last.words) > 1
    inside = nodes[:-1] if is_waited else nodes
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
    return list(
        _joined_branches(tuple(branches), nodes[0].line, is_waited=is_waited, names_process=names_process, made=made)
    )


def _keeps_process(node: Node) -> bool:
    """Return whether a statement only remembers the number of a process in the background."""
    return node.source.endswith("=$!")


def _joined_branches(
    branches: tuple[Entry, ...], line: int, *, is_waited: bool, names_process: bool, made: _List
) -> Iterator[_Unit]:
    steps = steps_of(branches)
    if not steps:
        yield _Unit(entries=branches, stops=True)
        return
    notes: list[Note] = []
    if not is_waited:
        notes.append(Note(line=line, text="the script did not wait for it; the run does"))
    elif not names_process:
        notes.append(Note(line=line, text=_WAITS))
    if len(steps) == 1 and (only := as_one(branches)) is not None:
        step = replace(only, notes=(*only.notes, *notes))
    else:
        step = StepDraft(line=line, steps=branches, is_parallel=True, fail_fast=False, notes=tuple(notes))
    yield _Unit(entries=(step,), stops=made.scope.stops_on_failure and names_process, line=line)


def _locked(made: _List) -> list[_Unit]:
    """Put the units after a lock was acquired into a group that holds it."""
    inside = _with_policy(made.units[made.locked_at :])
    step = as_one(inside.entries) if inside.fail_fast else group(inside.entries, fail_fast=False)
    before = made.units[: made.locked_at]
    if step is None:
        return made.units
    if step.lock is not None or step.for_each is not None or step.when:
        step = group((step,))
    return [*before, _Unit(entries=(replace(step, lock=made.lock),), stops=True, line=step.line)]


def _with_policy(units: Sequence[_Unit]) -> Block:
    """Join units: all of them end the list when they fail, or none does, or each says what it does."""
    places = [index for index, unit in enumerate(units) if steps_of(unit.entries)]
    # The failure of the last one is that of the list in any case.
    judged = [units[index].stops for index in places[:-1]]
    if all(judged):
        return Block(entries=tuple(entry for unit in units for entry in unit.entries))
    if not any(judged):
        note = Note(line=units[places[0]].line, text=_CONTINUES)
        entries = [_grouped(unit.entries) for unit in units]
        first = next((index for index, part in enumerate(entries) if steps_of(part)), 0)
        entries[first] = (note, *entries[first])
        return Block(entries=tuple(entry for part in entries for entry in part), fail_fast=False)
    made: list[Entry] = []
    for index, unit in enumerate(units):
        is_tolerant = index in places[:-1] and not unit.stops
        step = as_one(unit.entries) if is_tolerant else None
        made += [replace(step, continue_on_error=True)] if step is not None else unit.entries
    return Block(entries=tuple(made))


def _grouped(entries: tuple[Entry, ...]) -> tuple[Entry, ...]:
    """Return the entries of one statement, of which the first failure counts, as one step."""
    return entries if len(steps_of(entries)) < 2 else (group(entries),)
