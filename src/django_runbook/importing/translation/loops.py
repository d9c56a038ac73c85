"""Translates loops, also those that repeat a command until it succeeds."""

from __future__ import annotations

import re
from typing import Final

from django_runbook.importing.draft import Entry, Note, Plain, StepDraft
from django_runbook.importing.problems import NotCarried
from django_runbook.importing.shell.nodes import AndOr, For, If, Negation, Node, Remark, Simple, While
from django_runbook.importing.shell.words import ShellWord, Substitution
from django_runbook.importing.translation.conditions import condition_of
from django_runbook.importing.translation.context import Context, as_one, group
from django_runbook.importing.translation.exits import has_end
from django_runbook.importing.translation.expansion import expand
from django_runbook.importing.translation.pieces import Expr, as_text, literal_of
from django_runbook.importing.translation.scope import ShellScope
from django_runbook.importing.translation.wrapping import as_duration, seconds_of
from django_runbook.structs import replace

_MAX_ATTEMPTS: Final = 1000
_MAX_ITEMS: Final = 1000
_RANGE: Final = re.compile(r"\{(-?\d+)\.\.(-?\d+)\}")
_ERREXIT: Final = re.compile(r"[-+][a-zA-Z]*e[a-zA-Z]*|errexit")
_SEQ: Final = re.compile(r"seq\s+(?:-w\s+)?(-?\d+)(?:\s+(-?\d+))?")


def translate_for(node: For, context: Context) -> tuple[Entry, ...]:
    """Translate a loop over words into ``for_each``, or into ``retry``; raise NotCarried."""
    items = [item for word in node.values for item in _items(word, context)]
    if not items:
        raise NotCarried("the loop has no items")
    retried = _retried(node, len(items), context)
    if retried is not None:
        return retried
    return (_loop(node, items, context),)


def _loop(node: For, items: list[str], context: Context) -> StepDraft:
    nested = _only(node.statements)
    if isinstance(nested, For):
        return _product(node, items, nested, context)
    inner = context.scope.copy(is_tail=False, is_loop=True)
    for name in [name for name, value in inner.values.items() if _is_item(value)]:
        inner.values[name] = (
            "the item of an outer loop is not known in an inner one: use one loop over a mapping of lists"
        )
    inner.values[node.variable] = (Expr(source="item", is_late=True),)
    entries = _body(node.statements, inner, context, count=len(items))
    return _with_items(node, list(items), entries, inner)


def _body(statements: tuple[Node, ...], inner: ShellScope, context: Context, *, count: int) -> tuple[Entry, ...]:
    """Translate the body of a loop over this many items; what a failure does at its end holds after the loop, too."""
    scope = context.scope
    entries = context.inside(statements, inner)
    first = next((one for one in statements if not isinstance(one, Remark)), None)
    if inner.stops_on_failure != scope.stops_on_failure and count > 1 and not _sets_errexit(first):
        raise NotCarried('it turns "set -e" on or off between its items, which then differ in what a failure does')
    scope.stops_on_failure, scope.list_stops = inner.stops_on_failure, inner.list_stops
    return entries


def _sets_errexit(node: Node | None) -> bool:
    if not isinstance(node, Simple) or node.program != "set":
        return False
    return any(_ERREXIT.fullmatch(word.literal or "") for word in node.words[1:])


def _is_item(value: object) -> bool:
    return isinstance(value, tuple) and any(isinstance(one, Expr) and one.source.startswith("item") for one in value)


def _product(node: For, items: list[str], nested: For, context: Context) -> StepDraft:
    """Translate two loops; the body of the outer one is nothing but the inner one."""
    inner_items = [item for word in nested.values for item in _items(word, context)]
    names = [node.variable.lower(), nested.variable.lower()]
    if names[0] == names[1] or not all(re.fullmatch(r"[a-z][a-z0-9_]*", name) for name in names):
        raise NotCarried("the variables of the two loops have no names that differ")
    inner = context.scope.copy(is_tail=False, is_loop=True)
    for shell_name, name in zip((node.variable, nested.variable), names, strict=True):
        inner.values[shell_name] = (Expr(source=f"item.{name}", is_late=True),)
    lists: dict[str, Plain] = {names[0]: list(items), names[1]: list(inner_items)}
    entries = _body(nested.statements, inner, context, count=len(items) * len(inner_items))
    return _with_items(node, lists, entries, inner)


def _with_items(node: For, items: Plain, entries: tuple[Entry, ...], inner: ShellScope) -> StepDraft:
    step = as_one(entries)
    if step is None:
        raise NotCarried("no management command is called in the loop")
    # The condition and the id of a step that is a loop are those of the whole loop.
    if step.when or step.for_each is not None or step.id is not None or step.lock is not None:
        step = group((step,))
    loop = replace(step, for_each=items, line=node.line)
    if inner.stops_on_failure or has_end(entries):
        return loop
    # The shell continues with the next item after a failure.
    return group((loop,), fail_fast=False)


def _items(word: ShellWord, context: Context) -> list[str]:
    span = _RANGE.fullmatch(word.source)
    if span is not None:
        return _numbers(int(span[1]), int(span[2]))
    only = word.parts[0] if len(word.parts) == 1 else None
    if isinstance(only, Substitution) and (counted := _SEQ.fullmatch(only.source.strip())) is not None:
        first, last = (int(counted[1]), int(counted[2])) if counted[2] else (1, int(counted[1]))
        return _numbers(first, last) if first <= last else []
    made = expand(word, context.scope)
    if any(literal_of(pieces) is None for pieces in made) and '"' not in word.source:
        raise NotCarried(f"the shell splits {word.source} into items: use a param of type list")
    return [as_text(pieces) for pieces in made]


def _numbers(first: int, last: int) -> list[str]:
    if abs(last - first) >= _MAX_ITEMS:
        raise NotCarried(f"a loop has at most {_MAX_ITEMS} items")
    step = 1 if first <= last else -1
    return [str(number) for number in range(first, last + step, step)]


def _only(statements: tuple[Node, ...]) -> Node | None:
    real = [one for one in statements if not isinstance(one, Remark)]
    return real[0] if len(real) == 1 else None


def _retried(node: For, count: int, context: Context) -> tuple[Entry, ...] | None:
    """Translate a loop that ends when a command has succeeded; None if it is not one."""
    real = [one for one in node.statements if not isinstance(one, Remark)]
    command = _before_break(real[0]) if real else None
    if command is None:
        return None
    pause, gives_up = _pause(real[0]) or 0.0, False
    for one in real[1:]:
        seconds = _pause(one)
        if seconds is not None:
            pause += seconds
        elif _gives_up(one):
            gives_up = True
        else:
            raise NotCarried("a loop that repeats a command and does more has no counterpart: see retry")
    made = _with_retry(command, count, pause, context)
    if gives_up or context.scope.stops_on_failure:
        return (replace(made, is_end=gives_up),)
    text = "the script continued after the last attempt had failed; the run fails"
    return (replace(made, notes=(*made.notes, Note(line=node.line, text=text))),)


def _before_break(node: Node) -> Node | None:
    while isinstance(node, AndOr) and _wait(node.right) is not None:
        # cmd && break || echo failed && sleep 5
        node = node.left
    if isinstance(node, AndOr) and node.operator == "&&" and _is_break(node.right):
        return node.left
    if isinstance(node, If) and len(node.branches) == 1 and not node.otherwise:
        branch = node.branches[0]
        inside = [one for one in branch.statements if not isinstance(one, Remark)]
        if len(inside) == 1 and _is_break(inside[0]) and len(branch.condition) == 1:
            return branch.condition[0]
    return None


def _is_break(node: Node) -> bool:
    return isinstance(node, Simple) and len(node.words) == 1 and node.words[0].literal == "break"


def _wait(node: Node) -> float | None:
    """Return how long a command waits in which nothing else happens; None if something does."""
    name = node.program if isinstance(node, Simple) else ""
    if name in {"echo", "printf", "date", "true", ":"}:
        return 0.0
    if isinstance(node, Simple) and len(node.words) == 2 and name == "sleep":
        return seconds_of(node.words[1].literal or "")
    return None


def _pause(node: Node) -> float | None:
    """Return how long a statement waits: messages and pauses only, at the end of a list also after other commands."""
    total = 0.0
    while isinstance(node, AndOr):
        seconds = _wait(node.right)
        if seconds is None:
            return None if not total and not _is_break(node.right) else total
        total += seconds
        node = node.left
    own = _wait(node)
    return total + own if own is not None else (total or None)


def _gives_up(node: Node) -> bool:
    """Return whether a statement ends the script after the last attempt."""
    last = node.right if isinstance(node, AndOr) else None
    return isinstance(last, Simple) and last.program in {"exit", "return"}


def _with_retry(command: Node, count: int, pause: float, context: Context) -> StepDraft:
    if condition_of(command, context.scope) is not None:
        raise NotCarried("a loop that waits for a condition has no counterpart: see wait_for")
    step = as_one(context.statement(command, context.scope.judged()))
    if step is None:
        raise NotCarried("the command that the loop repeats is not a management command: see wait_for")
    if step.retry is not None or step.for_each is not None or step.lock is not None:
        step = group((step,))
    retry: dict[str, Plain] = {"attempts": count}
    if pause:
        # A longer delay than the default of max_delay raises that, too.
        retry |= {"delay": as_duration(pause), "backoff": 1, "jitter": False}
    else:
        retry |= {"delay": "0s", "jitter": False}
    return replace(step, retry=retry)


def translate_while(node: While, context: Context) -> tuple[Entry, ...]:
    """Translate a loop that repeats a command until it succeeds; raise NotCarried."""
    only = _only(node.condition)
    if only is None:
        raise NotCarried("a loop over a condition of several commands has no counterpart: see retry and wait_for")
    command: Node | None = only if node.is_until else only.command if isinstance(only, Negation) else None
    if command is None:
        raise NotCarried("a loop while a command succeeds has no counterpart: see for_each and retry")
    pauses = [_pause(one) for one in node.statements if not isinstance(one, Remark)]
    known = [one for one in pauses if one is not None]
    if len(known) < len(pauses):
        raise NotCarried("a loop that repeats a command and does more has no counterpart: see retry")
    made = _with_retry(command, _MAX_ATTEMPTS, sum(known), context)
    text = f"the loop had no end; retry ends after {_MAX_ATTEMPTS} attempts"
    return (replace(made, notes=(*made.notes, Note(line=node.line, text=text))),)
