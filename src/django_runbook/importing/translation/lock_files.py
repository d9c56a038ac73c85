"""Finds the locks that a script holds on a descriptor: ``exec 9>FILE`` and then ``flock 9``."""

from __future__ import annotations

from typing import Final

from django_runbook.importing.draft import Plain
from django_runbook.importing.problems import NotCarried
from django_runbook.importing.shell.nodes import AndOr, If, Negation, Node, Redirect, Simple
from django_runbook.importing.translation.expansion import expand_all, expand_quoted
from django_runbook.importing.translation.pieces import literal_of
from django_runbook.importing.translation.scope import ShellScope
from django_runbook.importing.translation.wrapping import flock_options, lock_of

_ENDS: Final = {"exit", "return"}


def open_descriptors(redirects: tuple[Redirect, ...], scope: ShellScope) -> bool:
    """Remember the files that descriptors stand for; return whether the redirections do nothing else."""
    is_only = bool(redirects)
    for redirect in redirects:
        if redirect.descriptor.isdigit() and int(redirect.descriptor) > 2 and redirect.target is not None:
            path = literal_of(expand_quoted(redirect.target, scope))
            if path is None:
                raise NotCarried("the name of the lock depends on a variable")
            scope.descriptors[redirect.descriptor] = path
        else:
            is_only = False
    return is_only


def is_opening(node: Node) -> bool:
    """Return whether a statement is ``exec`` with redirections alone."""
    return isinstance(node, Simple) and len(node.words) == 1 and node.program == "exec" and bool(node.redirects)


def held_lock(node: Node, scope: ShellScope) -> dict[str, Plain] | None:
    """Return the lock that a statement acquires for the statements after it; None if it acquires none."""
    call, exit_code = _call_of(node)
    if call is None:
        return None
    options, rest = flock_options(expand_all(call.words[1:], scope))
    number = literal_of(rest[0]) if len(rest) == 1 else None
    if number is None or number not in scope.descriptors:
        return None
    if exit_code == "0":
        options["--conflict-exit-code"] = "0"
    return lock_of(scope.names.lock(scope.descriptors[number]), options)


def _call_of(node: Node) -> tuple[Simple | None, str | None]:
    """Return the call of flock, and the exit code if the lock is held by another process."""
    exit_code = None
    if isinstance(node, If) and len(node.branches) == 1 and not node.otherwise:
        branch = node.branches[0]
        ends = [one for one in branch.statements if _is_end(one)]
        only = branch.condition[0] if len(branch.condition) == 1 else None
        if not ends or not isinstance(only, Negation):
            return None, None
        exit_code = _code_of(ends[0])
        node = only.command
    elif isinstance(node, AndOr) and node.operator == "||" and _ends_of(node.right):
        exit_code = _code_of(_ends_of(node.right)[0])
        node = node.left
    if isinstance(node, Simple) and node.program == "flock":
        return node, exit_code
    return None, None


def _ends_of(node: Node) -> list[Node]:
    inside = getattr(node, "statements", (node,))
    return [one for one in inside if _is_end(one)]


def _is_end(node: Node) -> bool:
    return isinstance(node, Simple) and node.program in _ENDS


def _code_of(node: Node) -> str | None:
    assert isinstance(node, Simple)
    return node.words[1].literal if len(node.words) > 1 else None
