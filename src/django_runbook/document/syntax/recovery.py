"""Turns a syntax error into a diagnostic and removes its entry, so that the rest of the file is still checked."""

from __future__ import annotations

import re

import yaml

from django_runbook.document.diagnostics import Diagnostic, Span, diagnose
from django_runbook.document.syntax.source import LINE_BREAK, PLACEHOLDER, Source

_MAX_ROUNDS = 50
_MAX_CHARACTERS = 8 * 1024 * 1024
_KEY = re.compile(r"[^\s#:'\"\[{][^:]*:(?=\s|$)")
_AT_CONTEXT = ("simple key", "flow", "quoted scalar", "anchor", "tag", "directive", "block scalar")
_MESSAGES = {
    "mapping values are not allowed in this context": (
        'a ":" is not allowed here',
        'align the line with the entries above it, or quote a string that contains ": "',
    ),
    "did not find expected key": (
        "the line is not aligned with the keys above it",
        "indent all keys of a mapping equally",
    ),
    "did not find expected '-' indicator": (
        "the line is neither an entry of the list above nor part of an entry",
        'begin it with "- ", or align it with the keys of the entry',
    ),
    "could not find expected ':'": ("this line is not a key with a value", 'write "key: value"'),
    "found unexpected end of stream": ("the quote is not closed", "close it on the same line"),
    "did not find expected ',' or ']'": ('the "[" is not closed', 'close it with "]"'),
    "did not find expected ',' or '}'": ('the "{" is not closed', 'close it with "}"'),
}


class Recovery:
    """Holds the ``text`` to parse next, and the ``removed_lines``."""

    def __init__(self, source: Source) -> None:
        self.text = source.text
        self.removed_lines: list[str] = []
        self._lines = list(source.lines)
        self._last_chunk: tuple[int, int] | None = None
        self._round_count = 0

    @property
    def is_exhausted(self) -> bool:
        return self._round_count > min(_MAX_ROUNDS, _MAX_CHARACTERS // max(len(self.text), 1))

    def remove_unquoted(self) -> list[Diagnostic]:
        """Remove expressions that need quotes from ``text``, and report each."""
        # Only a file with this error needs the scan.
        from django_runbook.document.syntax.quoting import remove_unquoted

        text, diagnostics = remove_unquoted(self.text)
        if diagnostics:
            self._round_count += 1
            self.text = text
            self._lines = LINE_BREAK.split(text)
        return diagnostics

    def remove_entry(self, error: yaml.MarkedYAMLError) -> list[Diagnostic]:
        """Remove the entry around the error from ``text``; report nothing if its cause was reported already."""
        self._round_count += 1
        diagnostic = _explain(error, self._lines)
        line = min(diagnostic.span.line - 1, len(self._lines) - 1)
        if self._last_chunk is not None and self._is_follow_up(line):
            self._blank(*self._widen(*self._last_chunk))
            return []
        is_tab = diagnostic.code == "RB107"
        self._blank(*((line, line + 1) if is_tab else self._chunk_around(line)))
        return [diagnostic]

    def _is_follow_up(self, line: int) -> bool:
        assert self._last_chunk is not None
        start, end = self._last_chunk
        return start <= line <= end and not "".join(self._lines[start + 1 : line + 1]).strip()

    def _chunk_around(self, line: int) -> tuple[int, int]:
        for start in range(line, -1, -1):
            text = self._lines[start]
            is_entry = text.lstrip().startswith("- ") or text.strip() == "-"
            is_top_level = _indent(text) == 0 and (start == line or _KEY.match(text))
            if is_entry or is_top_level:
                return start, self._end_of(line, indent=_indent(text))
        return line, self._end_of(line, indent=0)

    def _widen(self, start: int, end: int) -> tuple[int, int]:
        if self._lines[start].strip():
            indent = _indent(self._lines[start])
            for outer in range(start - 1, -1, -1):
                text = self._lines[outer]
                if _is_content(text) and _indent(text) < indent:
                    return outer, self._end_of(end - 1, indent=_indent(text))
        return 0, len(self._lines)

    def _end_of(self, line: int, *, indent: int) -> int:
        for end in range(line + 1, len(self._lines)):
            if _is_content(self._lines[end]) and _indent(self._lines[end]) <= indent:
                return end
        return len(self._lines)

    def _blank(self, start: int, end: int) -> None:
        first = self._lines[start]
        self.removed_lines += self._lines[start:end]
        self._lines[start:end] = [_placeholder(first), *[""] * (end - start - 1)]
        self._last_chunk = (start, end)
        self.text = "\n".join(self._lines)


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _is_content(line: str) -> bool:
    stripped = line.strip()
    return bool(stripped) and not stripped.startswith("#")


def _placeholder(line: str) -> str:
    indent, rest = line[: _indent(line)], line.lstrip(" ")
    if PLACEHOLDER in line:
        return ""
    if rest.startswith("-"):
        return f"{indent}- {PLACEHOLDER}"
    key = _KEY.match(rest)
    return f"{indent}{key[0]} {PLACEHOLDER}" if key else ""


def _explain(error: yaml.MarkedYAMLError, lines: list[str]) -> Diagnostic:
    context, problem = error.context or "", error.problem or "not valid YAML"
    mark = error.problem_mark or error.context_mark
    if error.context_mark is not None and any(word in context for word in _AT_CONTEXT):
        mark = error.context_mark
    line, column = (mark.line, mark.column) if mark else (0, 0)
    text = lines[line] if line < len(lines) else ""
    if text[column : column + 1] == "\t" or "\t" in text[: len(text) - len(text.lstrip())]:
        return tab_diagnostic(line=line, column=text.index("\t"), width=1)
    if problem.startswith("mapping values") and not re.search(r":\s", text[:column]):
        column = _indent(text)
    if context == "while scanning an alias":
        # A cron expression such as */5 * * * * begins with a star.
        column = max(column - 1, 0)
        message, help_text = 'an unquoted string cannot begin with "*"', "quote it"
    elif problem == "found character that cannot start any token":
        message, help_text = f'an unquoted string cannot begin with "{text[column : column + 1]}"', "quote it"
    else:
        message, help_text = _MESSAGES.get(problem, (f"not valid YAML: {context} {problem}".replace("  ", " "), ""))
    if " #" in text[column:] and "is not closed" in message:
        help_text = f'quote a string that contains " #", which begins a comment; otherwise {help_text}'
    end = column + max(1, len(text[column:].split(" ", 1)[0]))
    return diagnose("RB105", message=message, span=Span(line + 1, column + 1, line + 1, end + 1), help_text=help_text)


def tab_diagnostic(*, line: int, column: int, width: int) -> Diagnostic:
    """Make the diagnostic for a tab outside strings; ``line`` and ``column`` count from 0."""
    span = Span(line + 1, column + 1, line + 1, column + width + 1)
    return diagnose("RB107", message="a tab is not allowed here", span=span, help_text="indent with spaces")
