"""Parses a Source into nodes in one pass over the events of PyYAML's C parser, which keep every position.

``yaml.compose`` is not used because it loses the place of an anchor, resolves aliases, recurses, and stops at the
first error.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import yaml
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from django_runbook.document import characters
from django_runbook.document.diagnostics import Diagnostic, Span, diagnose
from django_runbook.document.expressions import OPEN
from django_runbook.document.syntax.nodes import Mapping, MissingNode, Node, Scalar, Sequence, SourceMark, span_of
from django_runbook.document.syntax.recovery import Recovery, tab_diagnostic
from django_runbook.document.syntax.scalars import describe, problem_of, resolve
from django_runbook.document.syntax.source import PLACEHOLDER, Source
from django_runbook.structs import MutableStruct, Struct, field

MAX_DEPTH = 32
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TABS = re.compile("\t+")


class Parsed(Struct):
    """Holds the nodes of a file; ``root`` is None if nothing is readable, ``removed_text`` is the unreadable text."""

    root: Node | None
    diagnostics: list[Diagnostic]
    removed_text: str = ""


def parse(source: Source) -> Parsed:
    """Return the nodes of the file and all YAML errors.

    Unreadable text becomes a MissingNode, so that the rest of the file is still checked.
    """
    diagnostics: list[Diagnostic] = []
    recovery = Recovery(source)
    while not recovery.is_exhausted:
        builder = _Builder(recovery.text)
        try:
            root = builder.build()
        except yaml.MarkedYAMLError as error:
            diagnostics += recovery.remove_unquoted() or recovery.remove_entry(error)
            continue
        except yaml.YAMLError as error:
            return Parsed(root=None, diagnostics=[*diagnostics, _unplaced(error)])
        if builder.has_braces and (unquoted := recovery.remove_unquoted()):
            diagnostics += unquoted
            continue
        found = [*diagnostics, *builder.diagnostics, *_find_tabs(recovery.text, builder.scalars)]
        return Parsed(root=root, diagnostics=found, removed_text="\n".join(recovery.removed_lines))
    return Parsed(root=None, diagnostics=diagnostics)


def _unplaced(error: yaml.YAMLError) -> Diagnostic:
    return diagnose("RB105", message=f"not valid YAML: {' '.join(str(error).split())}", span=Span(1, 1, 1, 2))


class _OpenNode(MutableStruct, kw_only=False):
    start: SourceMark
    is_mapping: bool
    children: list[Node] = field(default_factory=list)


class _StopError(Exception):
    pass


class _Builder:
    """Builds nodes from events; ``has_braces`` is set if YAML read the braces of an expression as a mapping."""

    def __init__(self, text: str) -> None:
        self.has_braces = False
        self._text = text
        self._has_placeholders = PLACEHOLDER in text
        self.diagnostics: list[Diagnostic] = []
        self.scalars: list[Scalar] = []
        self._stack: list[_OpenNode] = []
        self._root: Node | None = None
        self._document_count = 0

    def build(self) -> Node | None:
        try:
            for event in yaml.parse(self._text, Loader=_LOADER):
                self._take(event)
        except _StopError:
            pass
        return self._root

    # Any: types-PyYAML gives the events of the C parser no types.
    def _take(self, event: Any) -> None:
        kind = type(event)
        if kind is ScalarEvent:
            self._take_scalar(event)
        elif kind is MappingStartEvent or kind is SequenceStartEvent:
            self._open(event, is_mapping=kind is MappingStartEvent)
        elif kind is MappingEndEvent or kind is SequenceEndEvent:
            self._close(event.end_mark)
        elif kind is AliasEvent:
            self._refuse(event, f"the alias *{event.anchor}", help_text="repeat the value")
            self._add(MissingNode(event.start_mark, event.end_mark))
        elif kind is DocumentStartEvent:
            self._start_document(event)

    def _take_scalar(self, event: Any) -> None:
        if event.anchor is not None or event.tag is not None:
            self._refuse_properties(event)
        value = event.value
        # Searched in the source, which cannot contain a placeholder of its own; a value can, through an escape.
        if self._has_placeholders and PLACEHOLDER in self._text[event.start_mark.index : event.end_mark.index]:
            self._add(MissingNode(event.start_mark, event.end_mark))
            return
        scalar = Scalar(value, event.implicit[0], event.start_mark, event.end_mark)
        self.scalars.append(scalar)
        self._add(scalar)
        if scalar.is_plain and (problem := problem_of(value)):
            message, help_text = problem
            self._report("RB112", message, span_of(scalar), help_text=help_text)

    def _open(self, event: Any, *, is_mapping: bool) -> None:
        if event.anchor is not None or event.tag is not None:
            self._refuse_properties(event)
        if is_mapping and self._text.startswith("{{", event.start_mark.index):
            self.has_braces = True
        if len(self._stack) >= MAX_DEPTH:
            message = f"more than {MAX_DEPTH} levels of lists and mappings"
            self._report("RB110", message, _first_character(event.start_mark), help_text="a runbook is a flat list")
            raise _StopError
        self._stack.append(_OpenNode(event.start_mark, is_mapping))

    def _close(self, end: SourceMark) -> None:
        done = self._stack.pop()
        if done.is_mapping:
            self._add(Mapping(list(self._entries(done.children)), done.start, end))
        else:
            self._add(Sequence(done.children, done.start, end))

    def _add(self, node: Node) -> None:
        if self._stack:
            self._stack[-1].children.append(node)
        else:
            self._root = node

    def _entries(self, nodes: list[Node]) -> Iterator[tuple[Scalar, Node]]:
        seen: dict[str, Scalar] = {}
        for key, value in zip(nodes[::2], nodes[1::2], strict=True):
            if isinstance(key, Scalar) and key.is_plain and "{{" in key.text:
                self.has_braces = True
            if not isinstance(key, Scalar) or not isinstance(resolve(key), str):
                self._refuse_key(key)
            elif key.is_plain and (hidden := characters.first_hidden(key.text)) is not None:
                message = f"the key has an invisible character: {characters.name_of(hidden)}"
                self._report("RB312", message, span_of(key), help_text="write the key again")
            elif OPEN in key.text:
                self._report("RB111", "an expression cannot be a key", span_of(key), help_text="write a literal key")
            elif key.text == "<<" and key.is_plain:
                self._report("RB109", "merge keys are not part of a runbook", span_of(key), help_text="repeat the keys")
            elif key.text in seen:
                self._refuse_duplicate(key, seen[key.text])
            else:
                seen[key.text] = key
                yield key, value

    def _refuse_key(self, key: Node) -> None:
        if not isinstance(key, MissingNode):
            help_text = "quote it" if isinstance(key, Scalar) else "write a string instead"
            self._report("RB111", f"a key must be a string, not {describe(key)}", span_of(key), help_text=help_text)

    def _refuse_duplicate(self, key: Scalar, first: Scalar) -> None:
        self.diagnostics.append(
            diagnose(
                "RB106",
                message=f'duplicate key "{key.text}"',
                span=span_of(key),
                help_text="remove one of the two",
                related=span_of(first),
                related_message="first defined here",
            )
        )

    def _start_document(self, event: Any) -> None:
        self._document_count += 1
        if self._document_count > 1:
            self._refuse(event, "a second document", help_text="move it into its own file", width=3)
            raise _StopError

    def _refuse_properties(self, event: Any) -> None:
        if event.anchor is not None:
            help_text = "repeat the value where it is needed, or use defaults and vars"
            self._refuse(event, f"the anchor &{event.anchor}", help_text=help_text, width=len(event.anchor) + 1)
        if event.tag is not None:
            self._refuse(event, f"the tag {event.tag}", help_text="remove it")

    def _refuse(self, event: Any, what: str, *, help_text: str, width: int = 1) -> None:
        span = _first_character(event.start_mark, width=width)
        self._report("RB108", f"{what} is not part of a runbook", span, help_text=help_text)

    def _report(self, code: str, message: str, span: Span, *, help_text: str) -> None:
        self.diagnostics.append(diagnose(code, message=message, span=span, help_text=help_text))


def _first_character(mark: SourceMark, *, width: int = 1) -> Span:
    return Span(mark.line + 1, mark.column + 1, mark.line + 1, mark.column + 1 + width)


def _find_tabs(text: str, scalars: list[Scalar]) -> Iterator[Diagnostic]:
    if "\t" not in text:
        return
    remaining = iter(scalars)
    scalar, before_end = next(remaining, None), 0
    for tabs in _TABS.finditer(text):
        at = tabs.start()
        while scalar is not None and scalar.end.index <= at:
            before_end, scalar = scalar.end.index, next(remaining, None)
        line_start = text.rfind("\n", 0, at) + 1
        is_in_comment = "#" in text[max(line_start, before_end) : at]
        if not is_in_comment and (scalar is None or at < scalar.start.index):
            line = text.count("\n", 0, at)
            yield tab_diagnostic(line=line, column=at - line_start, width=len(tabs[0]))
