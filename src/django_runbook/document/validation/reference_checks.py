"""Checks every name in an expression against the names in scope at its place."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator, Mapping
from typing import Final

from django_runbook.document.diagnostics import Diagnostic, diagnose
from django_runbook.document.expressions import Expression, Reference, Template
from django_runbook.document.similar_names import suggestion
from django_runbook.structs import Struct, field
from django_runbook.wording import MAX_NAMES

ROOTS = ("params", "vars", "env", "secrets", "steps", "run", "item", "today", "now")
# The names of its own step that an ``until`` can read, after a successful attempt.
UNTIL_NAMES = ("id", "status", "exit_code", "attempts", "output")
STEP_NAMES = ("id", "name", "status", "ignored", "exit_code", "attempts", "error", "output", "results")
RUN_NAMES = ("id", "name", "file")
HANDLER_RUN_NAMES = (*RUN_NAMES, "status", "failed_step", "error")
# Names from other languages.
_FOREIGN: Final = {
    "null": 'write "none"',
    "nil": 'write "none"',
    "inputs": 'write "params"',
    "matrix": 'write "item"',
    "loop": 'write "item"',
    "environ": 'list the variable under "env" of the file, and write "env.NAME"',
    "environment": 'list the variable under "env" of the file, and write "env.NAME"',
    "os": 'list the variable under "env" of the file, and write "env.NAME"',
    "datetime": 'write "now" or "today", and days(n), hours(n), … to move them',
    "date": 'write "today"',
    "timedelta": "write days(n), hours(n), …",
}
# Kinds of values that cannot be part of a string.
_NO_TEXT: Final = frozenset(("a mapping", "a list", "null"))
# The roots whose names a file declares, and what to call one of them.
_KINDS_OF_NAMES: Final = {
    "params": "parameter",
    "vars": "variable",
    "env": "environment variable",
    "secrets": "secret",
    "run": "attribute of the run",
}
_KINDS = {
    "string": "a string",
    "integer": "a number",
    "number": "a number",
    "boolean": "boolean",
    "date": "a date",
    "datetime": "a date and time",
    "list": "a list",
}


class StepFacts(Struct):
    """Describes which names of a step have a value: the output of a capturing step, the results of a loop.

    ``is_own`` marks the step whose own ``until`` is checked.
    """

    captures: bool = False
    is_loop: bool = False
    is_own: bool = False


class NameScope(Struct):
    """Holds the names in scope. ``params`` maps names to types, ``steps`` are the earlier steps, and ``hidden`` maps
    steps out of scope to the reason and the help.

    ``item_names`` are the keys of the loop item if they are known. A name in ``removed_text``, unreadable after
    a syntax error, is not reported as unknown, nor is one in ``rejected``, whose declaration is reported.
    """

    roots: Collection[str] = ROOTS
    params: Mapping[str, str] = field(default_factory=dict)
    vars: Collection[str] = ()
    env: Collection[str] = ()
    secrets: Collection[str] = ()
    rejected: Mapping[str, Collection[str]] = field(default_factory=dict)
    steps: Mapping[str, StepFacts] = field(default_factory=dict)
    hidden: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    item_names: Collection[str] | None = None
    later_steps: Collection[str] = ()
    run_names: Collection[str] = RUN_NAMES
    removed_text: str = ""


def check(value: str | Template | Expression, scope: NameScope) -> Iterator[Diagnostic]:
    """Report each name in a value that is not in scope."""
    if isinstance(value, str):
        return
    for expression in (value,) if isinstance(value, Expression) else value.expressions:
        for reference in expression.references:
            yield from _check_reference(reference, scope)


def check_condition(expression: Expression, scope: NameScope) -> Iterator[Diagnostic]:
    """Report as `check` does, and also a condition that cannot be a boolean."""
    found = list(check(expression, scope))
    yield from found
    if found:
        return
    from django_runbook.document.evaluation import kinds

    kind = kinds.kind_other_than_boolean(expression.source, lambda root, name: _kind_of(scope, root, name))
    if kind is not None:
        message = f"the condition is {kind}, not true or false"
        yield diagnose("RB310", message=message, span=expression.span, help_text="compare it with a value")


def check_text(value: str | Template, scope: NameScope) -> Iterator[Diagnostic]:
    """Report as `check` does, and also each expression in a string whose value cannot be part of one."""
    found = list(check(value, scope))
    yield from found
    if isinstance(value, Template) and not found:
        reason = "which cannot be part of a string"
        yield from _check_kinds(value, scope, refused=_NO_TEXT, reason=reason)


def check_argument(value: str | Template, scope: NameScope) -> Iterator[Diagnostic]:
    """Report as `check_text` does; an expression that is the whole value may also be a list or null."""
    if isinstance(value, str) or value.whole is None:
        yield from check_text(value, scope)
        return
    found = list(check(value, scope))
    yield from found
    if not found:
        yield from _check_kinds(value, scope, refused={"a mapping"}, reason="which no command takes")


def _check_kinds(value: Template, scope: NameScope, *, refused: Collection[str], reason: str) -> Iterator[Diagnostic]:
    from django_runbook.document.evaluation import kinds

    for expression in value.expressions:
        if not all(reference.root for reference in expression.references):
            continue
        kind = kinds.certain_kind(expression.source, lambda root, name: _kind_of(scope, root, name))
        if kind in refused:
            yield diagnose("RB320", message=f'"{expression.source}" is {kind}, {reason}', span=expression.span)


def _kind_of(scope: NameScope, root: str, name: str) -> str | None:
    if root == "params" and name:
        return _KINDS.get(scope.params.get(name, ""))
    if root in {"env", "secrets"} and name:
        return "a string"
    if root == "steps":
        return "a mapping"
    if not name:
        return {"today": "a date", "now": "a date and time", "item": None}.get(root, "a mapping")
    return None


def _check_reference(reference: Reference, scope: NameScope) -> Iterator[Diagnostic]:
    root, path = reference.root, reference.path
    if not root:
        # An unreadable expression is reported already.
        return
    if root == "item" and "item" not in scope.roots:
        help_text = (
            'it belongs to a step with "for_each", whose "when" and "confirm" are decided once, before the items'
        )
        yield _unknown(reference, '"item" is not defined here', help_text)
    elif root not in scope.roots:
        names = ", ".join(name for name in ROOTS if name in scope.roots)
        if root in ROOTS:
            yield _unknown(reference, f'"{root}" cannot be used here', f"the names here are: {names}")
        else:
            near = suggestion(root, scope.roots)
            text_hint = "" if path else f"quote a string: '{root}'; "
            help_text = _FOREIGN.get(root) or near or f"{text_hint}the names here are: {names}"
            yield _unknown(reference, f'"{root}" is not defined', help_text)
    elif not path:
        return
    elif root == "steps":
        yield from _check_step(reference, scope)
    elif root == "item":
        yield from _check_item(reference, scope)
    elif root in _KINDS_OF_NAMES:
        yield from _check_member(reference, scope)


def _check_member(reference: Reference, scope: NameScope) -> Iterator[Diagnostic]:
    root, name = reference.root, reference.path[0]
    known: Collection[str] = {
        "params": scope.params,
        "vars": scope.vars,
        "env": scope.env,
        "secrets": scope.secrets,
        "run": scope.run_names,
    }[root]
    if name in known or name in scope.rejected.get(root, ()) or (root != "run" and name in scope.removed_text):
        return
    listed = _first_names(known) or "none"
    help_text = suggestion(name, known) or f"declared here: {listed}"
    if root == "env":
        help_text = suggestion(name, known) or 'list it under "env" of the file'
    yield _unknown(reference, f'unknown {_KINDS_OF_NAMES[root]} "{name}"', help_text)


def _check_item(reference: Reference, scope: NameScope) -> Iterator[Diagnostic]:
    if scope.item_names is not None and reference.path[0] not in scope.item_names:
        help_text = suggestion(reference.path[0], scope.item_names) or f"an item has: {', '.join(scope.item_names)}"
        yield _unknown(reference, f'the item has no "{reference.path[0]}"', help_text)


def _check_step(reference: Reference, scope: NameScope) -> Iterator[Diagnostic]:
    step_id = reference.path[0]
    if step_id in scope.steps:
        yield from _check_step_name(reference, scope)
    elif step_id in scope.hidden:
        message, help_text = scope.hidden[step_id]
        yield diagnose("RB309", message=message, span=reference.span, help_text=help_text)
    elif step_id in scope.later_steps:
        message = f'step "{step_id}" has not run yet here'
        help_text = "move this step after it, or name one of the steps before this one: " + _listed(scope)
        yield diagnose("RB307", message=message, span=reference.span, help_text=help_text)
    elif step_id not in scope.removed_text:
        near = suggestion(step_id, (*scope.steps, *scope.later_steps))
        message = f'unknown step "{step_id}"'
        help_text = f"{near} " if near else ""
        help_text += f"steps before this one: {_listed(scope)}"
        yield diagnose("RB306", message=message, span=reference.span, help_text=help_text)


def _check_step_name(reference: Reference, scope: NameScope) -> Iterator[Diagnostic]:
    step_id, names = reference.path[0], reference.path[1:]
    if not names:
        return
    facts = scope.steps[step_id]
    known = UNTIL_NAMES if facts.is_own else STEP_NAMES
    if names[0] not in known:
        is_early = names[0] in STEP_NAMES
        message = f'"until" cannot read "{names[0]}" of its own step' if is_early else f'a step has no "{names[0]}"'
        near = "" if is_early else suggestion(names[0], known)
        yield _unknown(reference, message, near or f"choose from {', '.join(known)}")
    elif names[0] == "results" and not facts.is_loop:
        yield _unknown(
            reference, f'step "{step_id}" has no results', 'only a step with "for_each" or "shards" has them'
        )
    elif names[0] == "output" and not facts.captures:
        message = f'step "{step_id}" does not capture its output'
        help_text = f'add "capture: text" (or lines, or json) to step "{step_id}"'
        yield diagnose("RB308", message=message, span=reference.span, help_text=help_text)


def _listed(scope: NameScope) -> str:
    return _first_names(scope.steps) or "none"


def _first_names(names: Collection[str]) -> str:
    shown = ", ".join(itertools.islice(names, MAX_NAMES))
    return f"{shown}, …" if len(names) > MAX_NAMES else shown


def _unknown(reference: Reference, message: str, help_text: str) -> Diagnostic:
    return diagnose("RB305", message=message, span=reference.span, help_text=help_text)
