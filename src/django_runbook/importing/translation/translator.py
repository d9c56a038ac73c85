"""Translates statements of all kinds, by the translators of each kind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

from django_runbook.importing.draft import Entry, Note
from django_runbook.importing.problems import NotCarried
from django_runbook.importing.shell import nodes
from django_runbook.importing.shell.nodes import Node
from django_runbook.importing.translation.arguments import LOGGED
from django_runbook.importing.translation.assigning import translate_assignments
from django_runbook.importing.translation.branches import translate_if
from django_runbook.importing.translation.commands import translate_simple
from django_runbook.importing.translation.context import Context, StepBlock
from django_runbook.importing.translation.exits import contained, replaces_shell
from django_runbook.importing.translation.lists import translate_and_or, translate_pipeline
from django_runbook.importing.translation.lock_files import open_descriptors
from django_runbook.importing.translation.loops import translate_for, translate_while
from django_runbook.importing.translation.scope import ShellScope
from django_runbook.importing.translation.sequences import translate_block


def translate(statements: Sequence[Node], scope: ShellScope) -> StepBlock:
    """Translate a list of statements in a scope."""
    return translate_block(statements, scope, translate_statement)


def translate_script(statements: Sequence[Node], scope: ShellScope) -> StepBlock:
    """Translate the statements of a whole script."""
    scope.is_tail = True
    return translate_block(statements, scope, translate_statement)


def translate_statement(node: Node, scope: ShellScope) -> tuple[Entry, ...]:
    """Translate one statement; raise NotCarried if it has no counterpart."""
    context = Context(scope=scope, statement=translate_statement, block=translate)
    match node:
        case nodes.Remark():
            return (Note(line=0, text=node.text),)
        case nodes.Simple():
            if replaces_shell(node) and (not scope.is_tail or scope.ignored_errexit is not None):
                raise NotCarried("exec ends the script, also with success: give the steps after it a condition")
            return translate_simple(node, context)
        case nodes.Assignments():
            return translate_assignments(node, context)
        case nodes.AndOr():
            return translate_and_or(node, context)
        case nodes.Pipeline():
            return translate_pipeline(node, context)
        case nodes.If():
            return translate_if(node, context)
        case nodes.For():
            return translate_for(node, context)
        case nodes.While():
            return translate_while(node, context)
        case nodes.Compound():
            return _translate_compound(node, context)
        case nodes.Function():
            scope.functions[node.name] = node
            return (Note(line=node.line, subject=f"{node.name}()", text="carried over where it is called"),)
        case nodes.Negation():
            raise NotCarried("! makes a failure a success: see continue_on_error")
        case nodes.Condition():
            raise NotCarried("the exit code of a test alone has no counterpart")
        case nodes.Background():
            raise NotCarried("a command in the background has no counterpart here: see parallel")
        case nodes.Foreign():
            raise NotCarried(node.reason)
    assert_never(node)


def _translate_compound(node: nodes.Compound, context: Context) -> tuple[Entry, ...]:
    # A subshell ends with the exit code of its last statement, whatever the shell around it ignores.
    scope = context.scope.copy(is_tail=True, is_strict=False) if node.is_subshell else context.scope
    notes: list[Entry] = []
    others = [one for one in node.redirects if not (one.descriptor.isdigit() and int(one.descriptor) > 2)]
    for redirect in others:
        if redirect.text is not None or redirect.operator.startswith("<"):
            raise NotCarried("the input of a list of commands has no counterpart: see stdin")
        if redirect.target is not None and not redirect.target.source.isdigit():
            notes.append(Note(line=node.line, subject=redirect.source, text=LOGGED))
    held = tuple(one for one in node.redirects if one not in others)
    open_descriptors(held, scope)
    # Without a subshell, a lock outlives the braces, unless they close its file.
    scope.is_called = not node.is_subshell and not held and scope.ignored_errexit is None
    entries = context.inside(node.statements, scope)
    return (*notes, *(contained(entries) if node.is_subshell else entries))
