"""Renders diagnostics as text, plain data or workflow commands of GitHub Actions."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any, Final

from django_runbook.document.codes import Severity
from django_runbook.document.diagnostics import Diagnostic, Span
from django_runbook.structs import asdict

_MAX_WIDTH: Final = 110
_RED, _YELLOW, _BLUE, _BOLD = "\x1b[1;31m", "\x1b[1;33m", "\x1b[1;34m", "\x1b[1m"
_RESET: Final = "\x1b[0m"


def render_text(
    diagnostics: Sequence[Diagnostic], *, path: str, lines: Mapping[str, Sequence[str]], is_colored: bool
) -> str:
    """Render each diagnostic with its source line and carets, and a last line that counts them.

    ``path`` is the file of diagnostics without a path; ``lines`` holds the lines of each file.
    """
    style = _Style(is_colored=is_colored)
    blocks = []
    for item in diagnostics:
        own = item.path or path
        blocks.append(_render_one(item, path=own, lines=lines.get(own, ()), style=style))
    return "\n".join([*blocks, f"{count(diagnostics)} in {_visible(path)}", ""])


def count(diagnostics: Sequence[Diagnostic]) -> str:
    """Count errors and warnings: ``2 errors, 1 warning``."""
    numbers = {
        severity: sum(1 for item in diagnostics if item.severity is severity)
        for severity in (Severity.ERROR, Severity.WARNING)
    }
    parts = [f"{number} {severity}{'s' if number > 1 else ''}" for severity, number in numbers.items() if number]
    return ", ".join(parts) or "no problems"


def as_dicts(diagnostics: Sequence[Diagnostic], *, path: str) -> list[dict[str, Any]]:
    """Return each diagnostic as plain data."""
    return [{"file": item.path or path, **_flat(item)} for item in diagnostics]


def _flat(item: Diagnostic) -> dict[str, Any]:
    related = asdict(item.related) | {"message": item.related_message} if item.related else None
    return {
        **asdict(item.span),
        "severity": item.severity.value,
        "code": item.code,
        "message": item.message,
        "help": item.help,
        "related": related,
    }


def as_github(diagnostics: Sequence[Diagnostic], *, path: str) -> str:
    """Render workflow commands of GitHub Actions, which annotate the lines of a change.

    Format: https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands
    """
    return "".join(_github_line(item, path=item.path or path) + "\n" for item in diagnostics)


def _github_line(item: Diagnostic, *, path: str) -> str:
    span = item.span
    properties = {
        "file": path,
        "line": span.line,
        "col": span.column,
        "endLine": span.end_line,
        "endColumn": span.end_column,
        "title": item.code,
    }
    listed = ",".join(f"{name}={_github_escape(str(value), more=':,')}" for name, value in properties.items())
    message = item.message + (f"\nhelp: {item.help}" if item.help else "")
    return f"::{item.severity.value} {listed}::{_github_escape(message)}"


def _github_escape(text: str, *, more: str = "") -> str:
    for character in "%\r\n" + more:
        text = text.replace(character, f"%{ord(character):02X}")
    return text


class _Style:
    def __init__(self, *, is_colored: bool) -> None:
        self._is_colored = is_colored

    def __call__(self, text: str, color: str) -> str:
        return f"{color}{text}{_RESET}" if self._is_colored else text


def _render_one(item: Diagnostic, *, path: str, lines: Sequence[str], style: _Style) -> str:
    color = _RED if item.severity is Severity.ERROR else _YELLOW
    place = f"{_visible(path)}:{item.span.line}:{item.span.column}"
    head = f"{style(place, _BOLD)}: {style(f'{item.severity}[{item.code}]', color)}: {_visible(item.message)}"
    parts = [head, *_excerpt(item.span, lines, label="", color=color, style=style)]
    if item.help:
        gutter = " " * len(str(item.span.line))
        parts.append(f"  {gutter} {style('=', _BLUE)} {style('help', _BOLD)}: {_visible(item.help)}")
    if item.related is not None:
        parts += _excerpt(item.related, lines, label=item.related_message, color=_BLUE, style=style)
    return "\n".join([*parts, ""])


def _excerpt(span: Span, lines: Sequence[str], *, label: str, color: str, style: _Style) -> list[str]:
    if not 1 <= span.line <= len(lines):
        return []
    line, number = lines[span.line - 1], str(span.line)
    first = span.column - 1
    last = span.end_column - 1 if span.end_line == span.line else len(line.rstrip())
    line, first, last = _cut(line, first, max(last, first + 1))
    caret = " " * _width(line[:first]) + "^" * max(1, _width(line[first:last]))
    bar, gutter = style("|", _BLUE), " " * len(number)
    tail = f" {_visible(label)}" if label else ""
    return [f"  {style(number, _BLUE)} {bar} {_visible(line)}", f"  {gutter} {bar} {style(caret + tail, color)}"]


def _cut(line: str, first: int, last: int) -> tuple[str, int, int]:
    """Cut a long line to the part around the place."""
    line = line.rstrip()
    if len(line) <= _MAX_WIDTH:
        return line, first, last
    start = max(0, min(first - 30, len(line) - _MAX_WIDTH))
    end = start + _MAX_WIDTH
    before, after = "..." if start else "", "..." if end < len(line) else ""
    shift = start - len(before)
    return before + line[start:end] + after, first - shift, min(last, end) - shift


def _visible(text: str) -> str:
    """Replace control characters; a tab becomes one space, so that carets stay aligned."""
    if text.isprintable():
        return text
    return "".join(_visible_character(character) for character in text)


def _visible_character(character: str) -> str:
    if character.isprintable():
        return character
    return " " if character in "\t\n" else "\N{REPLACEMENT CHARACTER}"


def _width(text: str) -> int:
    """Count the terminal columns of a string."""
    return sum(
        0 if unicodedata.combining(character) else 2 if unicodedata.east_asian_width(character) in "WF" else 1
        for character in text
    )
