"""Finds unquoted expressions whose braces YAML reads as a mapping, and replaces them with placeholders."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

import yaml
from yaml.tokens import (
    FlowMappingEndToken,
    FlowMappingStartToken,
    FlowSequenceEndToken,
    FlowSequenceStartToken,
    ScalarToken,
    ValueToken,
)

from django_runbook.document.diagnostics import Diagnostic, Span, diagnose
from django_runbook.document.expressions import CLOSE, OPEN, end_of_expression
from django_runbook.document.syntax.source import PLACEHOLDER
from django_runbook.structs import Struct

_BRACES: Final = "{{"
_MAX_ROUNDS: Final = 50
_MAX_CHARACTERS: Final = 8 * 1024 * 1024
_MAX_SHOWN: Final = 80
_MAX_KEY: Final = 40
_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_OPENING: Final = (FlowMappingStartToken, FlowSequenceStartToken)
_CLOSING: Final = (FlowMappingEndToken, FlowSequenceEndToken)
# What libyaml breaks lines at.
_BREAKS: Final = "\n\r\x85\u2028\u2029"
_LINE_END: Final = re.compile(f"[{_BREAKS}]")
_END_OF_BLOCK_VALUE: Final = re.compile(rf"[{_BREAKS}]|[ \t]#|:(?=[ \t{_BREAKS}]|$)")
_END_OF_FLOW_VALUE: Final = re.compile(rf"[{_BREAKS},\[\]}}]|[ \t]#|:(?=[ \t{_BREAKS}]|$)")
_BRACKET: Final = re.compile(r"[\[{]")
_NEXT_ENTRY: Final = re.compile(rf"[{_BREAKS}][ \t]*(?:-[ \t]|[\w-]+:[ \t{_BREAKS}])")
_BARE_BRACES: Final = re.compile(r"(?<!\$)\{\{")
_CONDITION: Final = re.compile(r"(?:^|[\s{,-])(when|until):[ \t]*$")


class _Region(Struct):
    """Delimits a value that contains an expression; ``line`` and ``column`` count from 0."""

    start: int
    end: int
    line: int
    column: int
    is_key: bool = False


def remove_unquoted(text: str) -> tuple[str, list[Diagnostic]]:
    """Report each expression that needs quotes, and return the text with placeholders instead."""
    diagnostics: list[Diagnostic] = []
    for _ in range(min(_MAX_ROUNDS, _MAX_CHARACTERS // max(len(text), 1) + 1)):
        regions = list(_Scan(text).regions())
        if not regions:
            break
        diagnostics += (_describe(text, region) for region in regions)
        text = _with_placeholders(text, regions)
    return text, diagnostics


def _with_placeholders(text: str, regions: list[_Region]) -> str:
    parts, position = [], 0
    for region in regions:
        first_line = _LINE_END.split(text[region.start : region.end], maxsplit=1)[0]
        rest = text[region.start + len(first_line) : region.end]
        # Line breaks are kept, so that everything after the region keeps its place.
        parts += [text[position : region.start], PLACEHOLDER * len(first_line), re.sub(f"[^{_BREAKS}]", " ", rest)]
        position = region.end
    return "".join([*parts, text[position:]])


class _Scan:
    """Scans the tokens of a text once."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._depth = 0
        # Any: types-PyYAML gives the tokens of the C scanner no types.
        self._before: Any = None

    def regions(self) -> Iterator[_Region]:
        """Yield regions; stop after one inside which YAML lost track of brackets or quotes: it needs a new scan."""
        region: _Region | None = None
        depth = 0
        try:
            for token in yaml.scan(self._text, Loader=_LOADER):
                if region is not None and token.start_mark.index >= region.end:
                    if self._depth != depth:
                        return
                    region = None
                if region is None:
                    region, depth = self._region_at(token), self._depth
                    if region is not None:
                        yield region
                self._depth += isinstance(token, _OPENING) - isinstance(token, _CLOSING)
                self._before = token
        except yaml.MarkedYAMLError as error:
            if region is None and (region := self._region_of(error)) is not None:
                yield region

    def _region_at(self, token: Any) -> _Region | None:
        start, before = token.start_mark, self._before
        is_after_plain = isinstance(before, ScalarToken) and before.plain
        if isinstance(token, FlowMappingStartToken) and self._text.startswith(_BRACES, start.index):
            # Text directly before it, such as a "$", is part of the value.
            is_part = is_after_plain and before.end_mark.index == start.index
            return self._region(before.start_mark if is_part else start, braces=start.index)
        if isinstance(token, ValueToken) and is_after_plain:
            return self._cut_by_colon(before.start_mark, start.index)
        return None

    def _cut_by_colon(self, start: Any, colon: int) -> _Region | None:
        """Return the region of an expression whose first half YAML read as a key, as in ``${{ {"a": 1} }}``."""
        braces = self._text.rfind(_BRACES, start.index, colon)
        if braces < 0:
            return None
        end = self._end_of(braces)
        return self._region(start, braces=braces) if end is not None and end > colon else None

    def _region_of(self, error: yaml.MarkedYAMLError) -> _Region | None:
        """Return the region in which the scan failed; the scanner may not have returned its first tokens."""
        mark = min(filter(None, (error.context_mark, error.problem_mark)), key=lambda mark: mark.index, default=None)
        if mark is None:
            return None
        before = self._before
        is_plain = isinstance(before, ScalarToken) and before.plain
        since = 0 if before is None else before.start_mark.index if is_plain else before.end_mark.index
        line_start = mark.index - mark.column
        braces = self._text.find(_BRACES, max(line_start, since), mark.index + 1)
        if braces < 0:
            return None
        end = self._end_of(braces)
        if end is not None and end + len(CLOSE) <= mark.index:
            return None
        if is_plain and since >= line_start and since <= braces:
            return self._region(before.start_mark, braces=braces)
        start = braces - self._text.startswith(OPEN, max(braces - 1, 0))
        # A bracket among the tokens that were not returned counts too.
        is_flow = self._depth > 0 or _BRACKET.search(self._text, since, start) is not None
        column = start - line_start
        return self._extended(start, braces=braces, line=mark.line, column=column, is_flow=is_flow)

    def _end_of(self, braces: int) -> int | None:
        end = end_of_expression(self._text, braces + len(_BRACES))
        # Braces that close after the next key or entry belong to another expression.
        return None if end is None or _NEXT_ENTRY.search(self._text, braces, end) else end

    def _region(self, start: Any, *, braces: int) -> _Region:
        is_flow = self._depth > 0
        return self._extended(start.index, braces=braces, line=start.line, column=start.column, is_flow=is_flow)

    def _extended(self, start: int, *, braces: int, line: int, column: int, is_flow: bool) -> _Region:
        """Return the region up to the end of the value, which may contain more expressions."""
        text, position = self._text, braces
        ends = _END_OF_FLOW_VALUE if is_flow else _END_OF_BLOCK_VALUE
        while position >= 0:
            end = self._end_of(position)
            found = _LINE_END.search(text, position) if end is None else ends.search(text, end + len(CLOSE))
            limit = found.start() if found else len(text)
            position = -1 if end is None else text.find(_BRACES, end + len(CLOSE), limit)
        stop = start + len(text[start:limit].rstrip())
        return _Region(start=start, end=stop, line=line, column=column, is_key=text.startswith(":", stop))


def _describe(text: str, region: _Region) -> Diagnostic:
    value = text[region.start : region.end]
    first_line, shown = _LINE_END.split(value, maxsplit=1)[0], " ".join(value.split())
    line, column = region.line + 1, region.column + 1
    code, message = "RB113", "the expression is not quoted, so YAML reads its braces as a mapping"
    condition = _CONDITION.search(text[region.start - min(region.column, _MAX_KEY) : region.start])
    if condition is not None:
        help_text = f"write the condition without braces: {condition[1]}: {_bare(shown)}"
    elif region.is_key:
        code, message, help_text = "RB111", "an expression cannot be a key", "write a literal key"
    else:
        is_closed = CLOSE in value
        message = message if is_closed else "the expression is neither closed nor quoted"
        help_text = f"quote it: {quoted(_BARE_BRACES.sub(OPEN, shown) + ('' if is_closed else ' }}'))}"
    span = Span(line, column, line, column + len(first_line))
    return diagnose(code, message=message, span=span, help_text=help_text)


def _bare(text: str) -> str:
    return " ".join(text.replace(OPEN, " ").replace(_BRACES, " ").replace(CLOSE, " ").split())[:_MAX_SHOWN]


def quoted(text: str) -> str:
    """Quote a string for a YAML file."""
    if len(text) > _MAX_SHOWN:
        text = f"{OPEN} … {CLOSE}"
    if '"' in text or "\\" in text:
        escaped = text.replace("'", "''")
        return f"'{escaped}'"
    return f'"{text}"'
