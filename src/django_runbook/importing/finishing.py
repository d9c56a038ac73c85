"""Completes a runbook: it declares what its steps use, and keeps no key in a step that belongs to the file."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping

from django_runbook.document.diagnostics import Span
from django_runbook.document.expressions import Expression, Template, parse_template
from django_runbook.importing.draft import Entry, Note, Plain, RunbookDraft, StepDraft, steps_of, walk
from django_runbook.importing.translation.context import StepBlock
from django_runbook.importing.translation.scope import Declared
from django_runbook.structs import replace

_START = Span(1, 1, 1, 2)


def finished(draft: RunbookDraft, block: StepBlock, declared: Declared) -> RunbookDraft:
    """Return a draft with the steps of a block and all that they use."""
    draft = _hoisted(replace(draft, entries=block.entries, fail_fast=block.fail_fast))
    used = _used(draft, declared)
    params = {name: value for name, value in declared.params.items() if ("params", name) in used}
    env: list[Plain] = []
    for name, default in declared.env.items():
        if ("env", name) in used:
            env.append(name if default is None else {"name": name, "default": default})
    made = replace(
        draft,
        params=params,
        env=tuple(env),
        secrets=tuple(sorted(name for name in declared.secrets if ("secrets", name) in used)),
        vars={name: text for name, text in declared.vars.items() if ("vars", name) in used},
    )
    names = {f"{root}.{name}" for root, name in used} | {f"shell.{name}" for name in declared.read}
    made = replace(
        made,
        entries=_without_used(made.entries, names),
        on_failure=_without_used(made.on_failure, names),
        finally_=_without_used(made.finally_, names),
    )
    return _with_defaults(made)


def _with_defaults(draft: RunbookDraft) -> RunbookDraft:
    """Move the variables that all commands get to the defaults of the file."""
    lists = (draft.entries, draft.on_failure, draft.finally_)
    commands = [one for one in walk(tuple(itertools.chain(*lists))) if isinstance(one, StepDraft) and one.command]
    shared = set.intersection(*(set(step.env.items()) for step in commands)) if len(commands) > 1 else set()
    if not shared:
        return draft
    env = {name: value for name, value in commands[0].env.items() if (name, value) in shared}
    # A step with variables of its own has all of them: its mapping replaces the default.
    entries, on_failure, finally_ = (_without_env(one, env) for one in lists)
    return replace(
        draft, entries=entries, on_failure=on_failure, finally_=finally_, defaults={"env": dict[str, Plain](env)}
    )


def _without_env(entries: tuple[Entry, ...], env: Mapping[str, str]) -> tuple[Entry, ...]:
    return tuple(
        entry
        if isinstance(entry, Note)
        else replace(
            entry,
            env={} if entry.env == env else entry.env,
            steps=_without_env(entry.steps, env),
            on_failure=_without_env(entry.on_failure, env),
        )
        for entry in entries
    )


def _hoisted(draft: RunbookDraft) -> RunbookDraft:
    """Move the lock and the timeout of an only step to the file, and its steps, too, if it is a group."""
    steps = steps_of(draft.entries)
    if len(steps) != 1 or draft.lock is not None or steps[0].when or steps[0].for_each is not None:
        return draft
    only = steps[0]
    lock, entries = only.lock, draft.entries
    plain = replace(only, lock=None)
    draft = replace(draft, lock=lock)
    is_group = bool(plain.steps) and not plain.is_parallel
    if is_group and plain == StepDraft(
        line=plain.line,
        steps=plain.steps,
        notes=plain.notes,
        fail_fast=plain.fail_fast,
        timeout=plain.timeout,
        on_failure=plain.on_failure,
        is_end=plain.is_end,
    ):
        place = entries.index(only)
        inside = (*entries[:place], *plain.notes, *plain.steps, *entries[place + 1 :])
        return replace(
            draft,
            entries=inside,
            fail_fast=plain.fail_fast,
            timeout=plain.timeout,
            on_failure=(*plain.on_failure, *draft.on_failure),
        )
    return replace(draft, entries=tuple(plain if entry is only else entry for entry in entries))


def _used(draft: RunbookDraft, declared: Declared) -> set[tuple[str, str]]:
    """Return the names that the steps use, and those that these need."""
    found: set[tuple[str, str]] = set()
    pending = [name for text in _texts(draft) for name in _names_in(text)]
    while pending:
        name = pending.pop()
        if name not in found:
            found.add(name)
            if name[0] == "vars":
                pending += _names_in(declared.vars.get(name[1], ""))
    return found


def _texts(draft: RunbookDraft) -> Iterator[str]:
    for entry in walk((*draft.entries, *draft.on_failure, *draft.finally_)):
        if isinstance(entry, StepDraft):
            yield from filter(None, (entry.command, entry.stdin))
            yield from entry.env.values()
            # A condition has no braces.
            yield from (f"${{{{ {condition} }}}}" for condition in entry.when)
            yield from _strings(entry.for_each)


def _strings(value: Plain) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from _strings(item)


def _names_in(text: str) -> list[tuple[str, str]]:
    template, _ = parse_template(text, lambda start, end: _START)
    expressions: Iterable[Expression] = template.expressions if isinstance(template, Template) else ()
    return [
        (reference.root, reference.path[0])
        for expression in expressions
        for reference in expression.references
        if reference.path
    ]


def _without_used(entries: tuple[Entry, ...], names: set[str]) -> tuple[Entry, ...]:
    """Remove the comments about variables that only the shell used, if the runbook uses them, too."""
    made: list[Entry] = []
    for entry in entries:
        if isinstance(entry, Note):
            if entry.unless_used not in names:
                made.append(entry)
        else:
            made.append(
                replace(
                    entry,
                    steps=_without_used(entry.steps, names),
                    on_failure=_without_used(entry.on_failure, names),
                )
            )
    return tuple(made)


def open_count(draft: RunbookDraft) -> int:
    """Count the comments that are left to the reader."""
    inside = walk((*draft.entries, *draft.on_failure, *draft.finally_))
    notes = [*draft.notes, *(entry for entry in inside if isinstance(entry, Note))]
    return sum(1 for note in notes if note.is_open)
