"""Translates a shell script into a runbook."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from django_runbook.importing.draft import Entry, Note, RunbookDraft, steps_of
from django_runbook.importing.finishing import finished
from django_runbook.importing.problems import CannotImport, NotCarried
from django_runbook.importing.shell import nodes
from django_runbook.importing.shell.nodes import Node, Remark, Simple
from django_runbook.importing.shell.reader import read_statements
from django_runbook.importing.shell.words import Variable
from django_runbook.importing.translation.context import StepBlock, flattened
from django_runbook.importing.translation.scope import Declared, Names, ShellScope, as_name
from django_runbook.importing.translation.translator import translate, translate_script
from django_runbook.structs import MutableStruct, field

_SHEBANG: Final = re.compile(r"#!\s*(\S+)(.*)")
_SHELLS: Final = re.compile(r"(?:ba|da|z|k|a)?sh")
_HANDLERS: Final = {"ERR": "on_failure", "EXIT": "finally", "0": "finally"}


class _Traps(MutableStruct):
    """Collects what runs after a failure and at the end."""

    texts: dict[str, tuple[str, int, str]] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)


def import_script(text: str, *, name: str, stem: str) -> RunbookDraft:
    """Return the runbook of a script; raise CannotImport if it calls no management command."""
    statements = list(read_statements(text))
    scope = ShellScope(declared=Declared(), names=Names(), often=_often(statements))
    _read_shebang(statements, scope, name=name)
    description = _description(statements)
    _name_arguments(statements, scope)
    traps = _Traps()
    rest = [node for node in statements if not _is_trap(node, traps)]
    block = translate_script(rest, scope)
    handlers = {key: _handler(key, traps, scope) for key in ("on_failure", "finally")}
    kept = {key: entries for key, entries in handlers.items() if steps_of(entries)}
    lost = tuple(entry for key, entries in handlers.items() if key not in kept for entry in entries)
    if not steps_of(block.entries):
        raise CannotImport(f"{name}: no management command in it can be carried over{_reason(block)}")
    draft = RunbookDraft(
        stem=stem,
        line=1,
        entries=(),
        notes=(Note(line=0, text=f"Imported from {name}."),),
        description=description,
        on_failure=kept.get("on_failure", ()),
        finally_=kept.get("finally", ()),
    )
    joined = StepBlock(entries=(*traps.notes, *block.entries, *lost), fail_fast=block.fail_fast)
    return finished(draft, joined, scope.declared)


def _reason(block: StepBlock) -> str:
    found = [entry for entry in block.entries if isinstance(entry, Note) and entry.is_open]
    return f"; line {found[0].line}: {found[0].text}" if found else ""


def _read_shebang(statements: list[Node], scope: ShellScope, *, name: str) -> None:
    first = statements[0] if statements else None
    match = _SHEBANG.match(first.source) if isinstance(first, Remark) and first.line == 1 else None
    if match is None:
        return
    statements.pop(0)
    words = [match[1].rpartition("/")[2], *match[2].split()]
    words = [word for word in words if word not in {"env", "-S"}]
    if words and not _SHELLS.fullmatch(words[0]):
        raise CannotImport(f'{name}:1: it is a script of "{words[0]}", not of a shell')
    flags = "".join(word for word in words[1:] if word.startswith("-"))
    scope.stops_on_failure, scope.stops_on_unset = "e" in flags, "u" in flags


def _description(statements: list[Node]) -> str:
    """Take the comment at the beginning of the script."""
    lines: list[str] = []
    line = 0
    while statements and isinstance(statements[0], Remark) and (not line or statements[0].line == line + 1):
        first = statements.pop(0)
        assert isinstance(first, Remark)
        line = first.line
        lines.append(first.text)
    return " ".join(" ".join(lines).split())


def _name_arguments(statements: Sequence[Node], scope: ShellScope) -> None:
    """Name the arguments of the script after the variables that keep them."""
    for node in statements:
        if not isinstance(node, nodes.Assignments):
            continue
        for one in node.assignments:
            parts = one.value.parts if one.value is not None else ()
            variables = [part for part in parts if isinstance(part, Variable)]
            if len(variables) == 1 and variables[0].name.isdigit():
                names = scope.declared.arguments
                wanted = as_name(one.name, "value")
                if wanted not in names.values():
                    names.setdefault(variables[0].name, wanted)


def _often(statements: Sequence[Node]) -> frozenset[str]:
    counts = Counter(_assigned(statements))
    return frozenset(name for name, count in counts.items() if count > 1)


def _assigned(value: object) -> Iterator[str]:
    """Yield the names that statements set, at any depth."""
    if isinstance(value, tuple | list):
        for item in value:
            yield from _assigned(item)
    elif isinstance(value, nodes.Assignments):
        yield from (one.name for one in value.assignments)
    elif isinstance(value, nodes.Statement | nodes.IfBranch):
        if isinstance(value, nodes.For):
            yield value.variable
        for name in value.__struct_fields__:
            yield from _assigned(getattr(value, name))


def _is_trap(node: Node, traps: _Traps) -> bool:
    """Return whether a statement is a trap, and keep what it runs."""
    if not isinstance(node, Simple) or node.program != "trap":
        return False
    words = [word.literal for word in node.words[1:]]
    text = words[0] if words else None
    signals = [(word or "").removeprefix("SIG").upper() for word in words[1:]]
    handled = [signal for signal in signals if signal in _HANDLERS]
    if text is None or text in {"", "-"} or not handled:
        reason = "a run handles signals by itself: it ends the step, and runs finally"
        traps.notes.append(Note(line=node.line, text=reason, source=node.source))
        return True
    for signal in handled:
        traps.texts[_HANDLERS[signal]] = (text, node.line, node.source)
    return True


def _handler(key: str, traps: _Traps, scope: ShellScope) -> tuple[Entry, ...]:
    if key not in traps.texts:
        return ()
    text, line, source = traps.texts[key]
    inner = scope.copy(stops_on_failure=False)
    try:
        entries = flattened(translate(read_statements(text, first_line=line), inner))
    except NotCarried as reason:
        return (Note(line=line, text=str(reason), source=source, is_open=True),)
    return entries
