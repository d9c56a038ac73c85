"""Maps offsets in the value of a scalar to places in the file, even if it is quoted, folded or escaped."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from django_runbook.document.diagnostics import Span
from django_runbook.document.syntax.nodes import Scalar, span_of
from django_runbook.document.syntax.source import Source

Locate = Callable[[int, int], Span]
_ESCAPE_LENGTHS = {"x": 4, "u": 6, "U": 10}


def locator(scalar: Scalar, source: Source) -> Locate:
    """Return a function that maps a range of the value to its Span."""
    places: list[tuple[int, int]] | None = None

    def locate(start: int, end: int) -> Span:
        nonlocal places
        if scalar.is_plain and scalar.start.line == scalar.end.line:
            line, column = scalar.start.line + 1, scalar.start.column + 1
            return Span(line, column + start, line, column + end)
        if places is None:
            places = list(_align(scalar, source.lines))
        if end > len(places) or start >= len(places):
            return span_of(scalar)
        (line, column), (end_line, end_column) = places[start], places[max(start, end - 1)]
        return Span(line + 1, column + 1, end_line + 1, end_column + 2)

    return locate


def _align(scalar: Scalar, lines: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Yield the place of each character of the value, by walking through value and source side by side."""
    value, (line, column) = scalar.text, _first_of(scalar, lines)
    for character in value:
        line, column = _skip(character, line, column, lines=lines)
        if line > scalar.end.line or line >= len(lines):
            return
        yield line, column
        text = lines[line]
        if column >= len(text):
            line, column = line + 1, 0
        elif text[column] == "\\" and character != "\\":
            column += _ESCAPE_LENGTHS.get(text[column + 1 : column + 2], 2)
        elif text[column : column + 2] in {"''", "\\\\"} and not scalar.is_plain:
            column += 2
        else:
            column += 1


def _first_of(scalar: Scalar, lines: Sequence[str]) -> tuple[int, int]:
    line, column = scalar.start.line, scalar.start.column
    opening = lines[line][column : column + 1] if line < len(lines) else ""
    if scalar.is_plain:
        return line, column
    return (line + 1, 0) if opening in {"|", ">"} else (line, column + 1)


def _skip(character: str, line: int, column: int, *, lines: Sequence[str]) -> tuple[int, int]:
    """Skip what the file has and the value does not: indentation and folded line breaks."""
    while line < len(lines):
        text = lines[line]
        if column >= len(text):
            if character in {"\n", " "}:
                return line, column
            line, column = line + 1, 0
        elif text[column] == character or text[column] == "\\":
            return line, column
        elif text[column] in " \t":
            column += 1
        else:
            return line, column
    return line, column
